#include "ledger/sqlite/usage_outbox.h"

#include <utility>

#include "base/log.h"
#include "ledger/sqlite/ledger_layout.h"
#include "ledger/sqlite/usage_table.h"
#include "sqlite/database.h"

namespace perigee {

using sqlite::Database;
using sqlite::Statement;
using sqlite::Transaction;

struct UsageOutbox::Store {
  Database database;
  Statement next;
  Statement move;
  Statement prune;
  Statement waiting;
};

Result<std::unique_ptr<UsageOutbox>> UsageOutbox::open(const std::string& path) {
  PERIGEE_TRY(database, Database::open(path, sqlite::Durability::Normal, ledger_layout()));
  PERIGEE_TRY(next, database.prepare("SELECT sequence," + std::string{kUsageColumns} +
                                     " FROM usage WHERE sequence > (SELECT shipped FROM shipping) "
                                     "ORDER BY sequence LIMIT ?"));
  PERIGEE_TRY(move, database.prepare("UPDATE shipping SET shipped = max(shipped, ?)"));
  PERIGEE_TRY(prune, database.prepare("DELETE FROM usage WHERE sequence <= ?"));
  PERIGEE_TRY(waiting,
              database.prepare("SELECT max(0, (SELECT max(sequence) FROM usage) - shipped) "
                               "FROM shipping"));
  auto store = std::make_unique<Store>(Store{std::move(database), std::move(next), std::move(move),
                                             std::move(prune), std::move(waiting)});
  return std::unique_ptr<UsageOutbox>{new UsageOutbox{std::move(store)}};
}

UsageOutbox::UsageOutbox(std::unique_ptr<Store> store) : store_(std::move(store)) {}
UsageOutbox::~UsageOutbox() = default;

Result<UsageBatch> UsageOutbox::next(std::size_t most) {
  UsageBatch batch;
  Statement& rows = store_->next;
  rows.bind(1, static_cast<std::int64_t>(most));
  for (;;) {
    const Result<bool> row = rows.step();
    if (!row || !*row) {
      rows.reset();
      if (!row) return row.error();
      return batch;
    }
    batch.last = rows.column_int64(0);
    Result<UsageRecord> record = read_usage(rows, 1);
    if (record)
      batch.records.push_back(std::move(*record));
    else
      log::error("a usage record can't be shipped", {{"error", record.error().message}});
  }
}

Result<> UsageOutbox::shipped(std::int64_t last) {
  PERIGEE_TRY(transaction, Transaction::begin(store_->database));
  PERIGEE_CHECK(store_->move.bind(1, last).run());
  PERIGEE_CHECK(store_->prune.bind(1, last - kShippedKept).run());
  return transaction.commit();
}

Result<std::uint64_t> UsageOutbox::waiting() {
  const Result<bool> row = store_->waiting.step();
  const auto count = row && *row ? store_->waiting.column_int64(0) : 0;
  store_->waiting.reset();
  if (!row) return row.error();
  return static_cast<std::uint64_t>(count);
}

}  // namespace perigee
