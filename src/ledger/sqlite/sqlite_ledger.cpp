#include "ledger/sqlite/sqlite_ledger.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "ledger/sqlite/ledger_layout.h"
#include "ledger/sqlite/usage_table.h"
#include "sqlite/database.h"

namespace perigee {
namespace {

using sqlite::Database;
using sqlite::Durability;
using sqlite::Statement;
using sqlite::Transaction;

constexpr std::size_t kBatchMax = 4096;

// What died with the process: abandoned, and free where nothing is known to have been delivered.
constexpr const char* kRecover =
    "INSERT INTO usage SELECT NULL, id, tenant, key_id, model, ingress_site, serving_site, "
    "operation, service_class, started_us, ended_us, iif(serving_site = '', 0, prompt_tokens), "
    "cached_tokens, completion_tokens, 'abandoned' FROM open_request ORDER BY id;"
    "DELETE FROM open_request;";

Result<std::uint64_t> recover(Database& database) {
  PERIGEE_TRY(transaction, Transaction::begin(database));
  std::uint64_t open = 0;
  {
    PERIGEE_TRY(count, database.prepare("SELECT count(*) FROM open_request"));
    PERIGEE_TRY(has_row, count.step());
    if (has_row) open = static_cast<std::uint64_t>(count.column_int64(0));
  }
  if (open > 0) PERIGEE_CHECK(database.execute(kRecover));
  PERIGEE_CHECK(transaction.commit());
  return open;
}

}  // namespace

class SqliteLedger::Store {
 public:
  Store(Database database, UsageInsert settle, UsageInsert open, Statement close)
      : database_(std::move(database)),
        settle_(std::move(settle)),
        open_(std::move(open)),
        close_(std::move(close)) {}

  Result<> write(std::span<const Entry> batch) {
    sort(batch);
    PERIGEE_TRY(transaction, Transaction::begin(database_));
    PERIGEE_CHECK(open_.run(opened_));
    PERIGEE_CHECK(settle_.run(settled_));
    for (const UsageRecord* record : settled_) {
      if (!on_disk_.contains(record->id)) continue;
      const std::string id = to_string(record->id);
      PERIGEE_CHECK(close_.bind_in_place(1, id).run());
    }
    PERIGEE_CHECK(transaction.commit());
    for (const UsageRecord* record : opened_) on_disk_.insert(record->id);
    for (const UsageRecord* record : settled_) on_disk_.erase(record->id);
    return {};
  }

 private:
  // What is settled in this batch need not be opened first.
  void sort(std::span<const Entry> batch) {
    opened_.clear();
    settled_.clear();
    ended_.clear();
    for (const Entry& entry : batch) {
      if (!entry.settled) continue;
      settled_.push_back(entry.record.get());
      ended_.push_back(entry.record->id);
    }
    std::ranges::sort(ended_);
    for (const Entry& entry : batch) {
      if (!entry.settled && !std::ranges::binary_search(ended_, entry.record->id)) {
        opened_.push_back(entry.record.get());
      }
    }
  }

  Database database_;
  UsageInsert settle_;
  UsageInsert open_;
  Statement close_;
  std::set<RecordId> on_disk_;  // as open requests; at most `places`
  std::vector<const UsageRecord*> opened_;
  std::vector<const UsageRecord*> settled_;
  std::vector<RecordId> ended_;
};

Result<std::unique_ptr<SqliteLedger>> SqliteLedger::open(const std::string& path,
                                                         SqliteLedgerOptions options) {
  PERIGEE_TRY(database, Database::open(path, Durability::Full, ledger_layout()));
  PERIGEE_TRY(recovered, recover(database));
  PERIGEE_TRY(settle, UsageInsert::prepare(database, "INSERT INTO usage"));
  PERIGEE_TRY(opened, UsageInsert::prepare(database, "INSERT OR REPLACE INTO open_request"));
  PERIGEE_TRY(close, database.prepare("DELETE FROM open_request WHERE id = ?"));
  auto store = std::make_unique<Store>(std::move(database), std::move(settle), std::move(opened),
                                       std::move(close));
  SpareSpace spare{path + ".spare"};
  if (auto held = spare.hold(options.spare_bytes); !held) {
    log::warning("no room is held for the last usage records before a stop",
                 {{"error", held.error().message}});
  }
  return std::unique_ptr<SqliteLedger>{
      new SqliteLedger{std::move(store), recovered, std::move(spare), options}};
}

SqliteLedger::SqliteLedger(std::unique_ptr<Store> store, std::uint64_t recovered, SpareSpace spare,
                           SqliteLedgerOptions options)
    : options_(options),
      recovered_(recovered),
      store_(std::move(store)),
      spare_(std::move(spare)),
      queue_(3 * options.places),
      places_left_(static_cast<std::int64_t>(options.places)),
      notes_left_(static_cast<std::int64_t>(options.places)),
      writer_([this] { write_batches(); }) {}

SqliteLedger::~SqliteLedger() { close(); }

std::uint64_t SqliteLedger::close() {
  if (!writer_.joinable()) return lost_;
  queue_.close();
  writer_.join();
  if (lost_ > 0) log::error("usage records are lost: they found no room", {{"records", lost_}});
  return lost_;
}

Result<> SqliteLedger::reserve(const UsageRecord& begun) {
  if (places_left_.fetch_sub(1, std::memory_order_relaxed) <= 0) {
    places_left_.fetch_add(1, std::memory_order_relaxed);
    return ledger_full(options_.places);
  }
  Entry entry{std::make_unique<UsageRecord>(begun)};
  const bool pushed = queue_.try_push(std::move(entry));
  PERIGEE_ASSERT(pushed);
  return {};
}

void SqliteLedger::note(const UsageRecord& so_far) {
  if (notes_left_.fetch_sub(1, std::memory_order_relaxed) <= 0) {
    notes_left_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Entry entry{std::make_unique<UsageRecord>(so_far), false, true};
  const bool pushed = queue_.try_push(std::move(entry));
  PERIGEE_ASSERT(pushed);
}

void SqliteLedger::settle(std::unique_ptr<UsageRecord> record) noexcept {
  Entry entry{std::move(record), true};
  const bool pushed = queue_.try_push(std::move(entry));
  PERIGEE_ASSERT(pushed);  // its place was reserved
}

void SqliteLedger::write_batches() {
  std::vector<Entry> batch;
  bool closing = false;
  while (queue_.wait_for_value()) {
    closing = queue_.wait_for_close(options_.batch_time);
    // At the end all at once: no request that has ended is written as an open one first then, which
    // would need far more room.
    while (batch.size() < kBatchMax || closing) {
      std::optional<Entry> entry = queue_.try_pop();
      if (!entry) break;
      batch.push_back(std::move(*entry));
    }
    const bool written = write(batch, closing);
    give_back(batch);
    if (!written) lost_ += write_in_parts(std::move(batch));
    batch.clear();
  }
}

// Until the disk takes it. When closing it is tried once more, and again in the spare space.
bool SqliteLedger::write(std::span<const Entry> batch, bool& closing) {
  for (bool failed = false;; failed = true) {
    const Result<> written = store_->write(batch);
    const std::uint64_t records = batch.size();
    if (written && failed) log::warning("usage records stored after all", {{"records", records}});
    if (written) return true;
    log::error("usage records could not be stored",
               {{"records", records}, {"error", written.error().message}});
    if (!closing) {
      closing = queue_.wait_for_close(options_.retry_time);
    } else if (!spare_.give_up()) {
      return false;
    }
  }
}

// No room for all at once: as much of what has ended as there is room for. How many that leaves.
std::uint64_t SqliteLedger::write_in_parts(std::vector<Entry> batch) {
  constexpr std::size_t kPart = 256;
  std::erase_if(batch, [](const Entry& entry) { return !entry.settled; });
  std::span<const Entry> rest{batch};
  while (!rest.empty()) {
    const auto part = rest.first(std::min(kPart, rest.size()));
    if (!store_->write(part)) break;
    rest = rest.subspan(part.size());
  }
  const std::uint64_t stored = batch.size() - rest.size();
  if (stored > 0) log::warning("usage records stored after all", {{"records", stored}});
  return rest.size();
}

void SqliteLedger::give_back(const std::vector<Entry>& batch) {
  std::int64_t places = 0;
  std::int64_t notes = 0;
  for (const Entry& entry : batch) {
    places += entry.settled ? 1 : 0;
    notes += entry.noted ? 1 : 0;
  }
  places_left_.fetch_add(places, std::memory_order_relaxed);
  notes_left_.fetch_add(notes, std::memory_order_relaxed);
}

}  // namespace perigee
