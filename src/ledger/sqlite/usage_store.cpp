#include "ledger/sqlite/usage_store.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "ledger/sqlite/usage_table.h"
#include "sqlite/database.h"

namespace perigee {
namespace {

using sqlite::Database;
using sqlite::Statement;
using sqlite::Transaction;

constexpr Database::Layout kLayout{
    .application_id = 0x50477573,  // "PGus"
    .schema_version = 1,
    .schema = "CREATE TABLE usage (id TEXT PRIMARY KEY, " PERIGEE_USAGE_COLUMNS ") WITHOUT ROWID;",
    .what = "usage store"};

// replaces() of ledger.h: of two records with one id the same one stands, whichever came first. One
// of another tenant takes no one's place: a site that lies must not move a bill.
constexpr std::string_view kReplace =
    "ON CONFLICT(id) DO UPDATE SET tenant = excluded.tenant, key_id = excluded.key_id, "
    "model = excluded.model, ingress_site = excluded.ingress_site, "
    "serving_site = excluded.serving_site, operation = excluded.operation, "
    "service_class = excluded.service_class, started_us = excluded.started_us, "
    "ended_us = excluded.ended_us, prompt_tokens = excluded.prompt_tokens, "
    "cached_tokens = excluded.cached_tokens, completion_tokens = excluded.completion_tokens, "
    "outcome = excluded.outcome WHERE "
    "(excluded.outcome = 'completed', excluded.completion_tokens, excluded.prompt_tokens, "
    "excluded.ended_us) > "
    "(usage.outcome = 'completed', usage.completion_tokens, usage.prompt_tokens, usage.ended_us) "
    "AND excluded.tenant = usage.tenant";

// Beside the layout, so that files from before it are taken as they are.
constexpr const char* kKeyUseTable =
    "CREATE TABLE IF NOT EXISTS key_use (key_id TEXT PRIMARY KEY, used_us INTEGER NOT NULL) "
    "WITHOUT ROWID";
constexpr std::string_view kNoteUse =
    "INSERT INTO key_use VALUES (?1, ?2) ON CONFLICT(key_id) DO UPDATE SET "
    "used_us = max(used_us, excluded.used_us)";

// Ids begin with the time at which the request began, to a day where they were made from the
// client's key: a range of time is a range of rows, wider by that.
constexpr std::int64_t kIdSlack_us = 86'400'000'000;

struct KeyName {
  UsageKey key;
  std::string_view name;
  std::string_view column;
};
constexpr std::array<KeyName, 6> kKeys{
    {{UsageKey::Tenant, "tenant", "tenant"},
     {UsageKey::Model, "model", "model"},
     {UsageKey::ServingSite, "site", "serving_site"},
     {UsageKey::IngressSite, "ingress", "ingress_site"},
     {UsageKey::ServiceClass, "class", "service_class"},
     {UsageKey::Day, "day", "date(started_us / 1000000, 'unixepoch')"}}};

const KeyName& name_of(UsageKey key) { return kKeys.at(static_cast<std::size_t>(key)); }

std::string sum_sql(const UsageQuery& query) {
  std::string keys;
  for (const UsageKey key : query.by) keys += std::string{name_of(key).column} + ",";
  std::string sql = "SELECT " + keys +
                    "count(*), sum(outcome = 'completed'), sum(outcome = 'failed'), "
                    "sum(outcome = 'abandoned'), sum(prompt_tokens), sum(cached_tokens), "
                    "sum(completion_tokens) FROM usage WHERE id >= ?1 AND started_us >= ?2 "
                    "AND started_us < ?3 AND (?4 = '' OR tenant = ?4)";
  if (!keys.empty()) sql += " GROUP BY " + keys.substr(0, keys.size() - 1);
  return sql + " ORDER BY sum(prompt_tokens) + sum(completion_tokens) DESC, 1 LIMIT ?5";
}

std::string first_id_at(WallTime time) {
  return to_string(RecordId{static_cast<std::uint64_t>(std::max<std::int64_t>(time.micros, 0)), 0});
}

}  // namespace

std::string_view to_string(UsageKey key) { return name_of(key).name; }

std::optional<UsageKey> parse_usage_key(std::string_view name) {
  for (const KeyName& key : kKeys) {
    if (key.name == name) return key.key;
  }
  return std::nullopt;
}

struct UsageStore::Store {
  Database database;
  UsageInsert insert;
  Statement changes;
  Statement note_use;
};

Result<std::unique_ptr<UsageStore>> UsageStore::open(const std::string& path) {
  PERIGEE_TRY(database, Database::open(path, sqlite::Durability::Full, kLayout));
  PERIGEE_TRY(insert, UsageInsert::prepare(database, "INSERT INTO usage", kReplace));
  PERIGEE_TRY(changes, database.prepare("SELECT total_changes()"));
  PERIGEE_CHECK(database.execute(kKeyUseTable));
  PERIGEE_CHECK(make_aside_table(database));
  PERIGEE_TRY(note_use, database.prepare(kNoteUse));
  auto store = std::make_unique<Store>(
      Store{std::move(database), std::move(insert), std::move(changes), std::move(note_use)});
  return std::unique_ptr<UsageStore>{new UsageStore{std::move(store)}};
}

UsageStore::UsageStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}
UsageStore::~UsageStore() = default;

Result<std::size_t> UsageStore::insert(std::span<const UsageRecord> records) {
  const auto changes = [this]() -> Result<std::int64_t> {
    const Result<bool> row = store_->changes.step();
    const std::int64_t count = row && *row ? store_->changes.column_int64(0) : 0;
    store_->changes.reset();
    if (!row) return row.error();
    return count;
  };
  std::vector<const UsageRecord*> rows;
  rows.reserve(records.size());
  for (const UsageRecord& record : records) rows.push_back(&record);
  PERIGEE_TRY(before, changes());
  PERIGEE_CHECK(store_->insert.run(rows));
  PERIGEE_TRY(after, changes());
  std::map<std::string_view, std::int64_t> used;
  for (const UsageRecord& record : records) {
    std::int64_t& last = used[record.key_id];
    last = std::max(last, record.ended.micros);
  }
  for (const auto& [key, last] : used) {
    store_->note_use.bind(1, key).bind(2, last);
    const Result<bool> stored = store_->note_use.step();
    store_->note_use.reset();
    if (!stored) return stored.error();
  }
  return static_cast<std::size_t>(after - before);
}

Result<std::size_t> UsageStore::add(std::span<const UsageRecord> records) {
  PERIGEE_TRY(transaction, Transaction::begin(store_->database));
  PERIGEE_TRY(stored, insert(records));
  PERIGEE_CHECK(transaction.commit());
  return stored;
}

Result<std::size_t> UsageStore::put_aside(std::span<const AsideRecord> records) {
  return perigee::put_aside(store_->database, records);
}
Result<std::vector<AsideRecord>> UsageStore::list_aside(const AsideQuery& query) {
  return perigee::list_aside(store_->database, query);
}
Result<std::size_t> UsageStore::count_aside(const AsideQuery& query) {
  return perigee::count_aside(store_->database, query);
}
Result<std::map<AsideReason, std::size_t>> UsageStore::count_aside_by_reason() {
  return perigee::count_aside_by_reason(store_->database);
}
Result<> UsageStore::settle_aside(std::span<const std::int64_t> numbers,
                                  std::span<const UsageRecord> records) {
  PERIGEE_TRY(transaction, Transaction::begin(store_->database));
  PERIGEE_CHECK(forget_aside(store_->database, numbers));
  PERIGEE_CHECK(insert(records));
  return transaction.commit();
}

Result<std::vector<std::pair<std::string, WallTime>>> UsageStore::last_uses() {
  PERIGEE_TRY(rows, store_->database.prepare("SELECT key_id, used_us FROM key_use"));
  std::vector<std::pair<std::string, WallTime>> uses;
  for (;;) {
    PERIGEE_TRY(has_row, rows.step());
    if (!has_row) return uses;
    uses.emplace_back(rows.column_text(0), WallTime{rows.column_int64(1)});
  }
}

Result<std::vector<UsageSum>> UsageStore::sum(const UsageQuery& query) {
  PERIGEE_TRY(rows, store_->database.prepare(sum_sql(query)));
  rows.bind(1, first_id_at(WallTime{query.from.micros - kIdSlack_us}))
      .bind(2, query.from.micros)
      .bind(3, query.until.micros)
      .bind(4, query.tenant.str());
  rows.bind(5, static_cast<std::int64_t>(query.rows_max));
  std::vector<UsageSum> sums;
  for (;;) {
    PERIGEE_TRY(has_row, rows.step());
    if (!has_row) return sums;
    UsageSum sum;
    int column = 0;
    while (column < static_cast<int>(query.by.size())) {
      sum.keys.emplace_back(rows.column_text(column++));
    }
    for (std::int64_t* into : {&sum.requests, &sum.completed, &sum.failed, &sum.abandoned,
                               &sum.prompt_tokens, &sum.cached_tokens, &sum.completion_tokens}) {
      *into = rows.column_int64(column++);
    }
    if (sum.requests > 0) sums.push_back(std::move(sum));
  }
}

}  // namespace perigee
