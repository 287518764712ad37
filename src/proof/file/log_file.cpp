#include "proof/file/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace perigee::proof {
namespace {

constexpr mode_t kPrivate = S_IRUSR | S_IWUSR;

Error failure(Code code, const std::string& path) {
  return {code, path + ": " + std::strerror(errno)};
}

}  // namespace

Result<LogFile> LogFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kPrivate);
  if (fd < 0) return failure(Code::FailedPrecondition, path);
  return LogFile{fd, path};
}

Result<LogFile> LogFile::open_existing(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failure(errno == ENOENT ? Code::NotFound : Code::FailedPrecondition, path);
  return LogFile{fd, path};
}

LogFile::~LogFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::uint64_t> LogFile::size() const {
  struct stat facts{};
  if (::fstat(fd_, &facts) != 0) return failure(Code::Unavailable, path_);
  return static_cast<std::uint64_t>(facts.st_size);
}

Result<> LogFile::write_at(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failure(Code::Unavailable, path_);
    offset += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> LogFile::read_at(std::uint64_t offset, std::uint64_t size) const {
  std::string bytes(size, '\0');
  for (std::uint64_t read = 0; read < size;) {
    const ssize_t got =
        ::pread(fd_, bytes.data() + read, size - read, static_cast<off_t>(offset + read));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(Code::Unavailable, path_);
    if (got == 0) return Error{Code::DataLoss, path_ + " ends too early: restore it"};
    read += static_cast<std::uint64_t>(got);
  }
  return bytes;
}

Result<> LogFile::cut(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return failure(Code::Unavailable, path_);
  return {};
}

Result<> LogFile::sync() {
  if (::fdatasync(fd_) != 0) return failure(Code::Unavailable, path_);
  return {};
}

Result<> LogFile::lock_file() {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return {};
  return Error{Code::FailedPrecondition, path_ + ": another process writes this log"};
}

Result<> sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  Result<> result;
  if (!synced) result = failure(Code::Unavailable, path);
  if (fd >= 0) ::close(fd);
  return result;
}

Result<> replace_file(const std::string& path, std::string_view content) {
  const std::string draft = path + ".new";
  {
    PERIGEE_TRY(file, LogFile::open(draft));
    PERIGEE_CHECK(file.cut(0));
    PERIGEE_CHECK(file.write_at(0, content));
    PERIGEE_CHECK(file.sync());
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) return failure(Code::Unavailable, path);
  return sync_folder(std::filesystem::path{path}.parent_path().string());
}

}  // namespace perigee::proof
