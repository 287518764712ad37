#include "demo/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace perigee::demo {
namespace {

constexpr std::string_view kFolderPrefix = "perigee-demo.";

Error failed(std::string_view what, const std::string& path) {
  return Error{Code::Unavailable, fmt::format("can't {} {}: {}", what, path, std::strerror(errno))};
}

Result<> check_private(const std::string& folder) {
  struct stat info{};
  if (::lstat(folder.c_str(), &info) != 0) return failed("look at", folder);
  if (S_ISDIR(info.st_mode) && info.st_uid == ::getuid() && (info.st_mode & 077) == 0) return {};
  return Error{Code::FailedPrecondition,
               fmt::format("{} is not a private folder of yours (mode 0700); remove it", folder)};
}

// A demo that was killed left its folder; its state file says where. Only a folder such as
// make_fresh_folder() makes is ever removed.
void remove_leftovers(const std::string& state_path) {
  std::ifstream file{state_path};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  boost::system::error_code failed_parse;
  const boost::json::value state = boost::json::parse(text, failed_parse);
  if (failed_parse || !state.is_object()) return;
  const boost::json::value* folder = state.get_object().if_contains("folder");
  if (folder == nullptr || !folder->is_string()) return;
  const std::filesystem::path path{std::string{std::string_view{folder->get_string()}}};
  if (!path.filename().string().starts_with(kFolderPrefix) || !check_private(path.string())) return;
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace

Result<std::unique_ptr<StateFile>> StateFile::claim(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return failed("make", folder);
  PERIGEE_CHECK(check_private(folder));
  const std::string lock_path = folder + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return failed("open", lock_path);
  std::unique_ptr<StateFile> file{new StateFile{folder, lock}};
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    file->folder_.clear();  // not ours to clean up
    return Error{Code::FailedPrecondition,
                 "a demo is running already; end it with `perigee demo --stop`, or set "
                 "XDG_RUNTIME_DIR to run another beside it"};
  }
  remove_leftovers(folder + "/demo.json");
  return file;
}

StateFile::~StateFile() {
  if (!folder_.empty()) {
    ::unlink((folder_ + "/demo.json").c_str());
    ::unlink(socket_path().c_str());
  }
  ::close(lock_);
}

Result<> StateFile::write(const boost::json::object& state) {
  const std::string path = folder_ + "/demo.json";
  const std::string fresh = path + ".new";
  PERIGEE_CHECK(write_private_file(fresh, boost::json::serialize(state) + "\n"));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed("write", path);
  return {};
}

Result<std::string> make_fresh_folder(const std::string& temp) {
  std::string path = fmt::format("{}/{}XXXXXX", temp, kFolderPrefix);
  if (::mkdtemp(path.data()) == nullptr) return failed("make a folder in", temp);
  return path;
}

Result<> write_private_file(const std::string& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed("write", path);
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written <= 0) {
      ::close(fd);
      return failed("write", path);
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  ::close(fd);
  return {};
}

}  // namespace perigee::demo
