// LogFile: an append-only file, read anywhere, cut at its end only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace perigee::proof {

// One thread's. Errors: Unavailable (disk full or failing: repeat later), DataLoss (it ends before
// what is read), FailedPrecondition (can't be opened).
class LogFile {
 public:
  LogFile() = default;
  static Result<LogFile> open(const std::string& path);           // made if need be, 0600
  static Result<LogFile> open_existing(const std::string& path);  // NotFound
  LogFile(LogFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  LogFile& operator=(LogFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    return *this;
  }
  ~LogFile();

  bool is_open() const { return fd_ >= 0; }
  Result<std::uint64_t> size() const;
  Result<> write_at(std::uint64_t offset, std::string_view bytes);
  Result<std::string> read_at(std::uint64_t offset, std::uint64_t size) const;
  Result<> cut(std::uint64_t size);
  Result<> sync();       // its bytes are on the disk
  Result<> lock_file();  // FailedPrecondition when another process holds it

 private:
  LogFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

// Replaces a small file in one step: after a crash it is the old or the new one, whole.
Result<> replace_file(const std::string& path, std::string_view content);
Result<> sync_folder(const std::string& path);  // its entries are on the disk

}  // namespace perigee::proof
