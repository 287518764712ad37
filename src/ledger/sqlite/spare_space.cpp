#include "ledger/sqlite/spare_space.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace perigee {
namespace {

// Whether as much again stays free for others. Asked before any of it is taken.
bool leaves_room(int file, std::uint64_t bytes) {
  struct statvfs disk{};
  struct stat now{};
  if (::fstatvfs(file, &disk) != 0 || ::fstat(file, &now) != 0) return true;  // can't tell
  const auto has = static_cast<std::uint64_t>(now.st_blocks) * 512;
  return has >= bytes || disk.f_bavail * disk.f_frsize + has >= 2 * bytes;
}

Error failure(const std::string& file, std::string_view why) {
  return Error{Code::Unavailable, file + ": " + std::string{why} + ": check the disk"};
}

}  // namespace

Result<> SpareSpace::hold(std::uint64_t bytes) {
  held_ = false;
  if (bytes == 0) {
    if (::unlink(file_.c_str()) == 0 || errno == ENOENT) return {};
    return failure(file_, std::strerror(errno));
  }
  const int file = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return failure(file_, std::strerror(errno));
  const auto size = static_cast<off_t>(bytes);
  const bool room = leaves_room(file, bytes);
  int failed = room ? ::posix_fallocate(file, 0, size) : ENOSPC;
  if (failed == 0 && ::ftruncate(file, size) != 0) failed = errno;
  ::close(file);
  held_ = failed == 0;
  if (held_) return {};
  ::unlink(file_.c_str());
  return failure(file_, room ? std::strerror(failed) : "it would take more than it leaves free");
}

bool SpareSpace::give_up() { return std::exchange(held_, false) && ::unlink(file_.c_str()) == 0; }

}  // namespace perigee
