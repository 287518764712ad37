// The layout of a site's usage.db (sqlite_ledger.h says what each table holds). Internal to
// ledger/sqlite and who looks at a ledger from outside (lab).
#pragma once

#include "sqlite/database.h"

namespace perigee {

const sqlite::Database::Layout& ledger_layout();

}  // namespace perigee
