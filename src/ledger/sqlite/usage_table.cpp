#include "ledger/sqlite/usage_table.h"

#include <algorithm>
#include <utility>

namespace perigee {
namespace {

std::string insert_sql(std::string_view into, std::size_t rows, std::string_view or_else) {
  std::string sql = std::string{into} + " (" + std::string{kUsageColumns} + ") VALUES ";
  for (std::size_t row = 0; row < rows; ++row) {
    sql += row == 0 ? "(?" : ",(?";
    for (std::size_t column = 1; column < kUsageColumnCount; ++column) sql += ",?";
    sql += ')';
  }
  return sql.append(" ").append(or_else);
}

std::uint32_t tokens_of(std::int64_t stored) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(stored, 0, 0xffffffff));
}

}  // namespace

UsageInsert::UsageInsert(sqlite::Statement one, sqlite::Statement rows)
    : one_(std::move(one)), rows_(std::move(rows)) {}

Result<UsageInsert> UsageInsert::prepare(sqlite::Database& database, std::string_view into,
                                         std::string_view or_else) {
  PERIGEE_TRY(one, database.prepare(insert_sql(into, 1, or_else)));
  PERIGEE_TRY(rows, database.prepare(insert_sql(into, kRows, or_else)));
  return UsageInsert{std::move(one), std::move(rows)};
}

Result<> UsageInsert::run(std::span<const UsageRecord* const> records) {
  for (; records.size() >= kRows; records = records.subspan(kRows)) {
    for (std::size_t row = 0; row < kRows; ++row) bind(rows_, row, *records[row]);
    PERIGEE_CHECK(rows_.run());
  }
  for (const UsageRecord* record : records) {
    bind(one_, 0, *record);
    PERIGEE_CHECK(one_.run());
  }
  return {};
}

void UsageInsert::bind(sqlite::Statement& insert, std::size_t row, const UsageRecord& record) {
  const int before = static_cast<int>(row * kUsageColumnCount);
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

Result<UsageRecord> read_usage(const sqlite::Statement& row, int column) {
  const auto text = [&](int at) { return std::string{row.column_text(column + at)}; };
  const auto id = parse_record_id(row.column_text(column));
  const auto operation = parse_operation(row.column_text(column + 6));
  const auto service_class = parse_service_class(row.column_text(column + 7));
  const auto outcome = parse_outcome(row.column_text(column + 13));
  if (!id || !operation || !service_class || !outcome) {
    return Error{Code::DataLoss, "a usage record of another making: id " + text(0)};
  }
  UsageRecord record;
  record.id = *id;
  record.tenant = TenantId{text(1)};
  record.key_id = text(2);
  record.model = ModelId{text(3)};
  record.ingress_site = SiteId{text(4)};
  record.serving_site = SiteId{text(5)};
  record.operation = *operation;
  record.service_class = *service_class;
  record.started = WallTime{row.column_int64(column + 8)};
  record.ended = WallTime{row.column_int64(column + 9)};
  record.prompt_tokens = tokens_of(row.column_int64(column + 10));
  record.cached_tokens = tokens_of(row.column_int64(column + 11));
  record.completion_tokens = tokens_of(row.column_int64(column + 12));
  record.outcome = *outcome;
  return record;
}

}  // namespace perigee
