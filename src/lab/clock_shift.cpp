#include "lab/clock_shift.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace perigee::lab {
namespace {

constexpr std::size_t kBytes = sizeof(std::int64_t);

}  // namespace

Result<std::unique_ptr<ClockShift>> ClockShift::create(const std::string& path,
                                                       const std::string& shim) {
  if (::access(shim.c_str(), R_OK) != 0) {
    return Error{Code::NotFound, "clock_jump needs " + shim + "; build it: ./dev build"};
  }
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ::ftruncate(file, kBytes) != 0) {
    return Error{Code::Unavailable, path + ": " + std::strerror(errno)};
  }
  void* mapped = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) return Error{Code::Unavailable, path + ": " + std::strerror(errno)};
  return std::unique_ptr<ClockShift>{new ClockShift{path, shim, mapped}};
}

ClockShift::~ClockShift() { ::munmap(mapped_, kBytes); }

std::vector<std::string> ClockShift::environment() const {
  return {"LD_PRELOAD=" + shim_, "LAB_CLOCK_FILE=" + path_};
}

void ClockShift::set(double seconds) {
  std::atomic_ref{*static_cast<std::int64_t*>(mapped_)}.store(
      static_cast<std::int64_t>(seconds * 1e9));
}

}  // namespace perigee::lab
