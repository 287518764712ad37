#include "lab/process_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <utility>

namespace perigee::lab {
namespace {

namespace fs = std::filesystem;

// Empty when it can't be read: a process may end at any time, which makes a stream throw.
std::string contents_of(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(file, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(file);
  return text;
}

std::vector<int> all_processes() {
  std::vector<int> pids;
  std::error_code failed;
  fs::directory_iterator entry{"/proc", failed};
  for (; !failed && entry != fs::directory_iterator{}; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    int pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc{} && end == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

// Its arguments, each ended by NUL; empty for a process that has ended.
std::string command_of(int pid) { return contents_of(fmt::format("/proc/{}/cmdline", pid)); }

// The fields after the name, which may hold anything.
std::optional<int> parent_of(int pid) {
  const std::string stat = contents_of(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields{stat.substr(name_end + 1)};
  char state = 0;
  int parent = 0;
  if (!(fields >> state >> parent)) return std::nullopt;
  return parent;
}

}  // namespace

std::vector<int> children_of(int parent, std::string_view word) {
  const std::string argument = std::string{word} + '\0';
  std::vector<int> found;
  for (const int pid : all_processes()) {
    if (parent_of(pid) != parent) continue;
    if (command_of(pid).find('\0' + argument) != std::string::npos) found.push_back(pid);
  }
  std::ranges::sort(found);
  return found;
}

std::vector<std::string> processes_naming(std::string_view text) {
  std::vector<std::string> found;
  for (const int pid : all_processes()) {
    if (pid == ::getpid()) continue;
    std::string command = command_of(pid);
    if (command.find(text) == std::string::npos) continue;
    std::ranges::replace(command, '\0', ' ');
    found.push_back(fmt::format("{} {}", pid, command));
  }
  return found;
}

std::optional<ProcessSize> size_of(int pid) {
  ProcessSize size;
  std::istringstream memory{contents_of(fmt::format("/proc/{}/statm", pid))};
  std::int64_t total = 0;
  std::int64_t resident = 0;
  if (!(memory >> total >> resident)) return std::nullopt;
  size.memory_mib = static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / (1024.0 * 1024.0);
  std::error_code failed;
  fs::directory_iterator file{fmt::format("/proc/{}/fd", pid), failed};
  for (; !failed && file != fs::directory_iterator{}; file.increment(failed)) ++size.descriptors;
  if (failed) return std::nullopt;
  return size;
}

std::optional<ProcessHandle> ProcessHandle::open(int pid) {
  if (pid <= 0) return std::nullopt;
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (descriptor < 0) return std::nullopt;
  return ProcessHandle{pid, descriptor};
}

ProcessHandle::ProcessHandle(ProcessHandle&& other) noexcept
    : pid_(other.pid_), descriptor_(std::exchange(other.descriptor_, -1)) {}

ProcessHandle::~ProcessHandle() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool ProcessHandle::send(int signal) const {
  return ::syscall(SYS_pidfd_send_signal, descriptor_, signal, nullptr, 0) == 0;
}

bool ProcessHandle::limit_files(std::optional<std::uint64_t> bytes) const {
  if (!send(0)) return false;
  rlimit limit{};
  if (::prlimit(pid_, RLIMIT_FSIZE, nullptr, &limit) != 0) return false;
  limit.rlim_cur = bytes ? std::min<rlim_t>(*bytes, limit.rlim_max) : limit.rlim_max;
  return ::prlimit(pid_, RLIMIT_FSIZE, &limit, nullptr) == 0;
}

}  // namespace perigee::lab
