// The first operator key of a grid: what everything else is set up with.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/audit_log.h"
#include "control/directory_table.h"

namespace perigee::control {

// When the directory has no operator key yet, makes one and writes it to `path` (0600; a file of
// another making is never overwritten). A start that died between file and directory is taken up
// where it stopped. Errors say which file to look at. As every change, it is written to `audit`
// first; null: to none.
Result<> ensure_operator_key(DirectoryTable& table, const Clock& clock, const std::string& path,
                             AuditLog* audit);

}  // namespace perigee::control
