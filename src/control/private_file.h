// Files that hold secrets or must never be half written. Blocking; milliseconds.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace perigee::control {

// Makes a new file (0600), on the disk when it returns. AlreadyExists: it is left as it is.
Result<> create_private_file(const std::string& path, std::string_view content);
// Replaces the file (0600) as a whole or not at all, also at a power failure.
Result<> replace_private_file(const std::string& path, std::string_view content);
// Makes the folder and its parents (0700) when missing. FailedPrecondition.
Result<> make_private_folder(const std::string& path);
// NotFound, FailedPrecondition (unreadable), PayloadTooLarge.
Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max);

}  // namespace perigee::control
