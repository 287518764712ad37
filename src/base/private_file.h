// Files that hold secrets or must never be half written. Blocking; milliseconds.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace perigee {

// Makes a new file (0600), on the disk when it returns. AlreadyExists: it is left as it is.
Result<> create_private_file(const std::string& path, std::string_view content);
// Replaces the file (0600) as a whole or not at all, also at a power failure.
Result<> replace_private_file(const std::string& path, std::string_view content);
// Makes the folder and its parents when missing, and shuts others out of it (0700), also of one
// that was there empty. Of one that is in use already, or not ours, only a warning says that others
// get in: it may be /var/lib, or open to a group for backups on purpose.
// FailedPrecondition: it can't be made, or all share it, as /tmp.
Result<> make_private_folder(const std::string& path);
// A folder is one process's: held from lock() on until it is destroyed or the process is gone.
class FolderLock {
 public:
  // The folder must exist. FailedPrecondition names who has it.
  static Result<FolderLock> lock(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};
// NotFound, FailedPrecondition (unreadable), PayloadTooLarge.
Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max);

}  // namespace perigee
