// What /proc tells of the processes of a lab, and signals to them that can't hit another process
// which got the same number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace perigee::lab {

// Processes that `parent` started whose command line has `word` as an argument.
std::vector<int> children_of(int parent, std::string_view word);

// Processes whose command line mentions `text`, but not this one: "PID COMMAND LINE".
std::vector<std::string> processes_naming(std::string_view text);

struct ProcessSize {
  double memory_mib = 0;  // resident
  std::int64_t descriptors = 0;
};
std::optional<ProcessSize> size_of(int pid);  // nullopt: it is gone

// A process by its descriptor (pidfd). Move-only.
class ProcessHandle {
 public:
  static std::optional<ProcessHandle> open(int pid);
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle&&) = delete;
  ~ProcessHandle();
  int pid() const { return pid_; }
  bool send(int signal) const;  // false: it is gone
  // How many bytes a file that it writes may have; nullopt: any again.
  bool limit_files(std::optional<std::uint64_t> bytes) const;

 private:
  ProcessHandle(int pid, int descriptor) : pid_(pid), descriptor_(descriptor) {}
  int pid_;
  int descriptor_;
};

}  // namespace perigee::lab
