// SHA-256 of a file.
#pragma once

#include <atomic>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace perigee {

// Reads the whole file, some 0.4 to 2 GB a second. NotFound, Unavailable (can't be read), Cancelled
// when `cancelled` becomes true.
Result<Sha256> sha256_of_file(const std::string& path,
                              const std::atomic<bool>* cancelled = nullptr);

// FailedPrecondition unless this is the digest (64 hexadecimal digits): what says so names both.
Result<> check_digest(const std::string& path, const Sha256& digest, const std::string& expected);
// The same of the file's.
Result<> check_file_digest(const std::string& path, const std::string& expected,
                           const std::atomic<bool>* cancelled = nullptr);

}  // namespace perigee
