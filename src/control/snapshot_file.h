// The last snapshot on a site's disk: what it starts with when control is out of reach.
//   perigee-snapshot 1 SHA256-OF-THE-REST-IN-HEX\n
//   {"revision":...,...}\n              as control serves it (docs/control_api.md)
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "directory/records.h"

namespace perigee::control {

// Replaces the file as a whole (0600: it holds hashes of keys). Blocks for milliseconds.
Result<> save_snapshot(const std::string& path, const DirectorySnapshot& snapshot);
// NotFound: there is none. DataLoss: damaged, cut or of another layout. Rows that could not be
// understood are named in `skipped`.
Result<DirectorySnapshot> load_snapshot(const std::string& path, std::vector<std::string>& skipped);

}  // namespace perigee::control
