// UsageTable: the columns of a usage record in SQLite, the same in every table that holds them.
// Internal to ledger/sqlite.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/hex.h"
#include "ledger/ledger.h"
#include "sqlite/database.h"

namespace perigee {

// In the order in which they are bound and read.
inline constexpr std::string_view kUsageColumns =
    "id,tenant,key_id,model,ingress_site,serving_site,operation,service_class,started_us,ended_us,"
    "prompt_tokens,cached_tokens,completion_tokens,outcome";
inline constexpr std::size_t kUsageColumnCount = 14;

// Of CREATE TABLE, behind the column `id`.
#define PERIGEE_USAGE_COLUMNS                                                             \
  "tenant TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL, "                     \
  "ingress_site TEXT NOT NULL, serving_site TEXT NOT NULL, operation TEXT NOT NULL, "     \
  "service_class TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL, " \
  "prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, "                      \
  "completion_tokens INTEGER NOT NULL, outcome TEXT NOT NULL"

// Writes records into one table, many with one statement: so many rows share its start, its end and
// the seek, which is half of what a row costs.
class UsageInsert {
 public:
  // `into`: "INSERT INTO usage"; `or_else`: what follows the rows, "ON CONFLICT ...".
  static Result<UsageInsert> prepare(sqlite::Database& database, std::string_view into,
                                     std::string_view or_else = {});
  Result<> run(std::span<const UsageRecord* const> records);

 private:
  static constexpr std::size_t kRows = 16;
  UsageInsert(sqlite::Statement one, sqlite::Statement rows);
  // The record must live until the statement has run.
  void bind(sqlite::Statement& insert, std::size_t row, const UsageRecord& record);
  sqlite::Statement one_;
  sqlite::Statement rows_;
  std::array<std::array<char, 2 * kHexDigits64>, kRows> ids_{};
};

// The record in a row that was selected as kUsageColumns, from `column` on. DataLoss names the row
// that this program did not write.
Result<UsageRecord> read_usage(const sqlite::Statement& row, int column = 0);

}  // namespace perigee
