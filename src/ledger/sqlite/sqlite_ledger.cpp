#include "ledger/sqlite/sqlite_ledger.h"

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/hex.h"
#include "base/log.h"
#include "sqlite/database.h"

namespace perigee {
namespace {

using sqlite::Database;
using sqlite::Durability;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::size_t kBatchMax = 4096;

constexpr Database::Layout kLayout{.application_id = 0x50476c65,  // "PGle"
                                   .schema_version = 1,
                                   .schema = R"(
      CREATE TABLE usage (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL,
        ingress_site TEXT NOT NULL, serving_site TEXT NOT NULL, operation TEXT NOT NULL,
        service_class TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID;
    )",
                                   .what = "usage ledger"};
// An index made by earlier versions: nobody reads by it here, and keeping it cost a quarter.
constexpr const char* kDropIndex = "DROP INDEX IF EXISTS usage_tenant_ended";

constexpr std::size_t kColumns = 14;
// So many rows in one statement share its start, its end and the seek: half of what a row costs.
constexpr std::size_t kRows = 16;

std::string insert_sql(std::size_t rows) {
  std::string sql = "INSERT OR IGNORE INTO usage VALUES ";
  for (std::size_t row = 0; row < rows; ++row) {
    sql += row == 0 ? "(?" : ",(?";
    for (std::size_t column = 1; column < kColumns; ++column) sql += ",?";
    sql += ')';
  }
  return sql;
}

}  // namespace

class SqliteLedger::Store {
 public:
  Store(Database database, Statement insert_one, Statement insert_rows)
      : database_(std::move(database)),
        insert_one_(std::move(insert_one)),
        insert_rows_(std::move(insert_rows)) {}

  Result<> write(std::span<const UsageRecord> batch) {
    PERIGEE_TRY(transaction, Transaction::begin(database_));
    for (; batch.size() >= kRows; batch = batch.subspan(kRows)) {
      for (std::size_t row = 0; row < kRows; ++row) bind(insert_rows_, row, batch[row]);
      PERIGEE_CHECK(insert_rows_.run());
    }
    for (const UsageRecord& record : batch) {
      bind(insert_one_, 0, record);
      PERIGEE_CHECK(insert_one_.run());
    }
    return transaction.commit();
  }

 private:
  // The record must live until the statement has run.
  void bind(Statement& insert, std::size_t row, const UsageRecord& record) {
    const int before = static_cast<int>(row * kColumns);
    std::array<char, 2 * kHexDigits64>& id = ids_.at(row);
    write_hex(record.id.time_us, id.data());
    write_hex(record.id.chance, id.data() + kHexDigits64);
    insert.bind_in_place(before + 1, {id.data(), id.size()})
        .bind_in_place(before + 2, record.tenant.str())
        .bind_in_place(before + 3, record.key_id)
        .bind_in_place(before + 4, record.model.str())
        .bind_in_place(before + 5, record.ingress_site.str())
        .bind_in_place(before + 6, record.serving_site.str())
        .bind_in_place(before + 7, to_string(record.operation))
        .bind_in_place(before + 8, to_string(record.service_class))
        .bind(before + 9, record.started.micros)
        .bind(before + 10, record.ended.micros)
        .bind(before + 11, std::int64_t{record.prompt_tokens})
        .bind(before + 12, std::int64_t{record.cached_tokens})
        .bind(before + 13, std::int64_t{record.completion_tokens})
        .bind_in_place(before + 14, to_string(record.outcome));
  }
  Database database_;
  Statement insert_one_;
  Statement insert_rows_;
  std::array<std::array<char, 2 * kHexDigits64>, kRows> ids_{};
};

Result<std::unique_ptr<SqliteLedger>> SqliteLedger::open(const std::string& path,
                                                         SqliteLedgerOptions options) {
  PERIGEE_TRY(database, Database::open(path, Durability::Full, kLayout));
  PERIGEE_CHECK(database.execute(kDropIndex));
  PERIGEE_TRY(insert_one, database.prepare(insert_sql(1)));
  PERIGEE_TRY(insert_rows, database.prepare(insert_sql(kRows)));
  auto store =
      std::make_unique<Store>(std::move(database), std::move(insert_one), std::move(insert_rows));
  return std::unique_ptr<SqliteLedger>{new SqliteLedger{std::move(store), options}};
}

SqliteLedger::SqliteLedger(std::unique_ptr<Store> store, SqliteLedgerOptions options)
    : options_(options),
      store_(std::move(store)),
      queue_(options.places),
      places_left_(static_cast<std::int64_t>(options.places)),
      writer_([this] { write_batches(); }) {}

SqliteLedger::~SqliteLedger() {
  queue_.close();
  writer_.join();
}

Result<> SqliteLedger::reserve() {
  if (places_left_.fetch_sub(1, std::memory_order_relaxed) > 0) return {};
  places_left_.fetch_add(1, std::memory_order_relaxed);
  return ledger_full(options_.places);
}

void SqliteLedger::settle(UsageRecord&& record) noexcept {
  const bool pushed = queue_.try_push(std::move(record));
  PERIGEE_ASSERT(pushed);  // its place was reserved
}

void SqliteLedger::write_batches() {
  std::vector<UsageRecord> batch;
  bool closing = false;
  while (queue_.wait_for_value()) {
    closing = queue_.wait_for_close(options_.batch_time);
    while (batch.size() < kBatchMax) {
      std::optional<UsageRecord> record = queue_.try_pop();
      if (!record) break;
      batch.push_back(std::move(*record));
    }
    for (;;) {
      const Result<> written = store_->write(batch);
      if (written) break;
      log::error("usage records could not be stored",
                 {{"records", static_cast<std::uint64_t>(batch.size())},
                  {"error", written.error().message}});
      if (closing) break;  // tried once more than before; the log tells what is lost
      closing = queue_.wait_for_close(options_.retry_time);
    }
    places_left_.fetch_add(static_cast<std::int64_t>(batch.size()), std::memory_order_relaxed);
    batch.clear();
  }
}

}  // namespace perigee
