#include "base/private_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/log.h"

namespace perigee {
namespace {

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error failure(const std::string& path, int reason) {
  const Code code = reason == EEXIST   ? Code::AlreadyExists
                    : reason == ENOENT ? Code::NotFound
                                       : Code::FailedPrecondition;
  return {code, path + ": " + std::strerror(reason)};
}

Result<> write_all(const File& file, const std::string& path, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(file.fd(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failure(path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.fd()) != 0) return failure(path, errno);
  return {};
}

// Makes the folder's entry durable.
Result<> sync_folder(const std::string& path) {
  std::string folder = std::filesystem::path{path}.parent_path().string();
  if (folder.empty()) folder = ".";
  const File file{folder, O_RDONLY | O_DIRECTORY};
  if (!file.is_open() || ::fsync(file.fd()) != 0) return failure(folder, errno);
  return {};
}

}  // namespace

Result<> make_private_folder(const std::string& path) {
  std::error_code status;
  std::filesystem::create_directories(path, status);
  if (status) {
    return Error{Code::FailedPrecondition,
                 "can't create " + path + ": " + status.message() + "; choose another folder"};
  }
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return failure(path, errno);
  if ((found.st_mode & S_ISVTX) != 0) {
    return Error{
        Code::FailedPrecondition,
        path + " is a folder that all share: choose one of its own, such as " + path + "/perigee"};
  }
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  const bool in_use = !std::filesystem::is_empty(path, status) || status;
  if (!in_use && ::chmod(path.c_str(), S_IRWXU) == 0) return {};
  const bool writable = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  log::warning(writable ? "others may change what is in this folder: chmod 700 it, or go-w at least"
                        : "others may look into this folder: chmod 700 it unless that is meant so",
               {{"folder", path}});
  return {};
}

Result<FolderLock> FolderLock::lock(const std::string& folder) {
  const std::string path = folder + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failure(path, errno);
  FolderLock held{fd};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> pid{};
    const ssize_t got = ::read(fd, pid.data(), pid.size());
    const std::string who =
        got > 0 ? "process " + std::string{pid.data(), static_cast<std::size_t>(got)}
                : std::string{"another process"};
    return Error{Code::FailedPrecondition,
                 folder + " is in use by " + who + ": stop that one first, or name another folder"};
  }
  // For people only; on a full disk it stays empty.
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) == 0 && ::write(fd, pid.data(), pid.size()) < 0) return held;
  return held;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> create_private_file(const std::string& path, std::string_view content) {
  {
    const File file{path, O_WRONLY | O_CREAT | O_EXCL};
    if (!file.is_open()) return failure(path, errno);
    if (auto written = write_all(file, path, content); !written) {
      ::unlink(path.c_str());
      return written;
    }
  }
  return sync_folder(path);
}

Result<> replace_private_file(const std::string& path, std::string_view content) {
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());  // of a writer that died
  {
    const File file{draft, O_WRONLY | O_CREAT | O_EXCL};
    if (!file.is_open()) return failure(draft, errno);
    if (auto written = write_all(file, draft, content); !written) {
      ::unlink(draft.c_str());  // it must not hold the last room of a full disk
      return written;
    }
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) return failure(path, errno);
  return sync_folder(path);
}

Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max) {
  const File file{path, O_RDONLY};
  if (!file.is_open()) return failure(path, errno);
  std::string content;
  std::array<char, 16 * 1024> piece{};
  for (;;) {
    const ssize_t got = ::read(file.fd(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(path, errno);
    if (got == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(got));
    if (content.size() > bytes_max) {
      return Error{Code::PayloadTooLarge, path + ": larger than expected"};
    }
  }
}

}  // namespace perigee
