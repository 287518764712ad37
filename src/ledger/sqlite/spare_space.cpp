#include "ledger/sqlite/spare_space.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace perigee {

Result<> SpareSpace::hold(std::uint64_t bytes) {
  const int file = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int failed = errno;
  if (file >= 0) {
    failed = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
    ::close(file);
    held_ = failed == 0;
    if (held_) return {};
    ::unlink(file_.c_str());
  }
  return Error{Code::Unavailable, file_ + ": " + std::strerror(failed) + ": check the disk"};
}

bool SpareSpace::give_up() { return std::exchange(held_, false) && ::unlink(file_.c_str()) == 0; }

}  // namespace perigee
