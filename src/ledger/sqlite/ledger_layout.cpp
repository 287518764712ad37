#include "ledger/sqlite/ledger_layout.h"

#include "ledger/sqlite/usage_table.h"

namespace perigee {
namespace {

// The rowid of `usage` never shrinks, since its last row is never pruned: no AUTOINCREMENT needed.
#define PERIGEE_LEDGER_TABLES                                                                  \
  "CREATE TABLE usage (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, " PERIGEE_USAGE_COLUMNS \
  ");"                                                                                         \
  "CREATE TABLE open_request (id TEXT PRIMARY KEY, " PERIGEE_USAGE_COLUMNS                     \
  ") WITHOUT ROWID;"                                                                           \
  "CREATE TABLE shipping (one INTEGER PRIMARY KEY CHECK (one = 1), shipped INTEGER NOT NULL);" \
  "INSERT INTO shipping VALUES (1, 0);"

constexpr const char* kSchema = PERIGEE_LEDGER_TABLES;
// Layout 1 had one table, ordered by id.
constexpr const char* kUpgrade =
    "DROP INDEX IF EXISTS usage_tenant_ended;"
    "ALTER TABLE usage RENAME TO usage_1;" PERIGEE_LEDGER_TABLES
    "INSERT INTO usage SELECT NULL, * FROM usage_1 ORDER BY id;"
    "DROP TABLE usage_1;";

}  // namespace

const sqlite::Database::Layout& ledger_layout() {
  static constexpr sqlite::Database::Layout kLayout{.application_id = 0x50476c65,  // "PGle"
                                                    .schema_version = 2,
                                                    .schema = kSchema,
                                                    .what = "usage ledger",
                                                    .upgrade = kUpgrade};
  return kLayout;
}

}  // namespace perigee
