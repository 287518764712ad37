#include "ledger/sqlite/usage_aside.h"

#include <array>
#include <utility>

#include "base/secret.h"
#include "sqlite/database.h"

namespace perigee {
namespace {

using sqlite::Database;
using sqlite::Statement;

struct ReasonName {
  AsideReason reason;
  std::string_view name;
};
constexpr std::array<ReasonName, kAsideReasons> kReasons{
    {{AsideReason::UnknownTenant, "unknown_tenant"},
     {AsideReason::Time, "time"},
     {AsideReason::Counts, "counts"},
     {AsideReason::IngressSite, "ingress_site"},
     {AsideReason::Unreadable, "unreadable"}}};

constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS aside (number INTEGER PRIMARY KEY AUTOINCREMENT, "
    "site TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL, why TEXT NOT NULL, "
    "tenant TEXT NOT NULL, received_us INTEGER NOT NULL, record TEXT NOT NULL, "
    "UNIQUE (site, digest))";

std::string where(const AsideQuery& query) {
  std::string sql =
      " FROM aside WHERE number > ?1 AND (?2 = '' OR site = ?2) AND (?3 = '' OR tenant = ?3) "
      "AND (?4 = '' OR reason = ?4)";
  if (query.numbers.empty()) return sql;
  std::string numbers;
  for (const std::int64_t number : query.numbers) {
    numbers += (numbers.empty() ? "" : ",") + std::to_string(number);
  }
  return sql + " AND number IN (" + numbers + ")";
}

void bind(Statement& rows, const AsideQuery& query) {
  rows.bind(1, query.after)
      .bind(2, query.site.str())
      .bind(3, query.tenant)
      .bind(4, query.reason ? to_string(*query.reason) : std::string_view{});
}

}  // namespace

std::string_view to_string(AsideReason reason) {
  return kReasons.at(static_cast<std::size_t>(reason)).name;
}

std::optional<AsideReason> parse_aside_reason(std::string_view name) {
  for (const ReasonName& each : kReasons) {
    if (each.name == name) return each.reason;
  }
  return std::nullopt;
}

Result<> make_aside_table(Database& database) { return database.execute(kTable); }

Result<std::size_t> put_aside(Database& database, std::span<const AsideRecord> records) {
  if (records.empty()) return std::size_t{0};
  PERIGEE_TRY(insert,
              database.prepare("INSERT INTO aside (site, digest, reason, why, tenant, received_us, "
                               "record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  PERIGEE_TRY(find, database.prepare("SELECT 1 FROM aside WHERE site = ?1 AND digest = ?2"));
  PERIGEE_TRY(transaction, sqlite::Transaction::begin(database));
  AsideQuery of_site;
  of_site.site = records.front().site;
  PERIGEE_TRY(held, count_aside(database, of_site));
  std::size_t left_out = 0;
  for (const AsideRecord& record : records) {
    const std::string digest = to_hex(sha256(record.text));
    find.bind(1, record.site.str()).bind(2, digest);
    const Result<bool> there = find.step();
    find.reset();
    if (!there) return there.error();
    if (*there) continue;
    if (held >= kAsidePerSiteMax) {
      ++left_out;
      continue;
    }
    insert.bind(1, record.site.str()).bind(2, digest).bind(3, to_string(record.reason));
    insert.bind(4, record.why).bind(5, record.tenant).bind(6, record.received.micros);
    insert.bind(7, record.text);
    PERIGEE_CHECK(insert.run());
    ++held;
  }
  PERIGEE_CHECK(transaction.commit());
  return left_out;
}

Result<std::vector<AsideRecord>> list_aside(Database& database, const AsideQuery& query) {
  PERIGEE_TRY(rows,
              database.prepare("SELECT number, site, reason, why, tenant, received_us, record" +
                               where(query) + " ORDER BY number LIMIT ?5"));
  bind(rows, query);
  rows.bind(5, static_cast<std::int64_t>(query.rows_max));
  std::vector<AsideRecord> records;
  for (;;) {
    PERIGEE_TRY(has_row, rows.step());
    if (!has_row) return records;
    AsideRecord record;
    record.number = rows.column_int64(0);
    record.site = SiteId{std::string{rows.column_text(1)}};
    record.reason = parse_aside_reason(rows.column_text(2)).value_or(AsideReason::Unreadable);
    record.why = rows.column_text(3);
    record.tenant = rows.column_text(4);
    record.received = WallTime{rows.column_int64(5)};
    record.text = rows.column_text(6);
    records.push_back(std::move(record));
  }
}

Result<std::size_t> count_aside(Database& database, const AsideQuery& query) {
  PERIGEE_TRY(rows, database.prepare("SELECT count(*)" + where(query)));
  bind(rows, query);
  PERIGEE_CHECK(rows.step());
  return static_cast<std::size_t>(rows.column_int64(0));
}

Result<std::map<AsideReason, std::size_t>> count_aside_by_reason(Database& database) {
  PERIGEE_TRY(rows, database.prepare("SELECT reason, count(*) FROM aside GROUP BY reason"));
  std::map<AsideReason, std::size_t> counts;
  for (;;) {
    PERIGEE_TRY(has_row, rows.step());
    if (!has_row) return counts;
    const auto reason = parse_aside_reason(rows.column_text(0));
    counts[reason.value_or(AsideReason::Unreadable)] +=
        static_cast<std::size_t>(rows.column_int64(1));
  }
}

Result<> forget_aside(Database& database, std::span<const std::int64_t> numbers) {
  PERIGEE_TRY(remove, database.prepare("DELETE FROM aside WHERE number = ?1 RETURNING 1"));
  for (const std::int64_t number : numbers) {
    remove.bind(1, number);
    const Result<bool> there = remove.step();
    remove.reset();
    if (!there) return there.error();
    if (*there) continue;
    return Error{Code::FailedPrecondition,
                 "record " + std::to_string(number) +
                     " is not aside any more: another call settled it; look again"};
  }
  return {};
}

}  // namespace perigee
