#include "lab/ledger_reader.h"

#include "ledger/sqlite/ledger_layout.h"

namespace perigee::lab {

Result<std::vector<StoredUsage>> read_ledger(const std::string& path) {
  PERIGEE_TRY(database, sqlite::Database::open_to_read(path, ledger_layout()));
  PERIGEE_TRY(
      rows,
      database.prepare("SELECT id, outcome, operation, prompt_tokens, completion_tokens FROM usage "
                       "UNION ALL SELECT id, 'open', operation, prompt_tokens, completion_tokens "
                       "FROM open_request"));
  std::vector<StoredUsage> all;
  for (;;) {
    PERIGEE_TRY(more, rows.step());
    if (!more) return all;
    StoredUsage usage;
    usage.id = rows.column_text(0);
    usage.outcome = rows.column_text(1);
    usage.operation = rows.column_text(2);
    usage.prompt_tokens = static_cast<std::uint32_t>(rows.column_int64(3));
    usage.completion_tokens = static_cast<std::uint32_t>(rows.column_int64(4));
    all.push_back(std::move(usage));
  }
}

}  // namespace perigee::lab
