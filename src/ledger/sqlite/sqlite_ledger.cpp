#include "ledger/sqlite/sqlite_ledger.h"

#include <utility>
#include <vector>

#include "base/assert.h"
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
      CREATE INDEX usage_tenant_ended ON usage (tenant, ended_us);
    )",
                                   .what = "usage ledger"};
constexpr std::string_view kInsert =
    "INSERT OR IGNORE INTO usage VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)";

}  // namespace

class SqliteLedger::Store {
 public:
  Store(Database database, Statement insert)
      : database_(std::move(database)), insert_(std::move(insert)) {}

  Result<> write(const std::vector<UsageRecord>& batch) {
    PERIGEE_TRY(transaction, Transaction::begin(database_));
    for (const UsageRecord& record : batch) PERIGEE_CHECK(insert(record));
    return transaction.commit();
  }

 private:
  Result<> insert(const UsageRecord& record) {
    insert_.bind(1, record.id)
        .bind(2, record.tenant.str())
        .bind(3, record.key_id)
        .bind(4, record.model.str())
        .bind(5, record.ingress_site.str())
        .bind(6, record.serving_site.str())
        .bind(7, record.operation)
        .bind(8, record.service_class)
        .bind(9, record.started.micros)
        .bind(10, record.ended.micros)
        .bind(11, std::int64_t{record.prompt_tokens})
        .bind(12, std::int64_t{record.cached_tokens})
        .bind(13, std::int64_t{record.completion_tokens})
        .bind(14, to_string(record.outcome));
    return insert_.run();
  }
  Database database_;
  Statement insert_;
};

Result<std::unique_ptr<SqliteLedger>> SqliteLedger::open(const std::string& path,
                                                         SqliteLedgerOptions options) {
  PERIGEE_TRY(database, Database::open(path, Durability::Full, kLayout));
  PERIGEE_TRY(insert, database.prepare(kInsert));
  auto store = std::make_unique<Store>(std::move(database), std::move(insert));
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

void SqliteLedger::settle(UsageRecord record) noexcept {
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
