// ChildProcess: a process that we started, watched without signals, and never left behind: the
// kernel kills it when its parent dies (PR_SET_PDEATHSIG), so the starting thread must outlive it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/task.h"

namespace perigee::net {

struct ChildOptions {
  std::vector<std::string> arguments;    // [0] is the program: a path, not searched
  std::vector<std::string> environment;  // "NAME=value", added to ours
  std::string log_path;                  // stdout and stderr appended there; empty: inherited
  bool own_group = false;                // a process group of its own: Ctrl-C does not reach it
};

// How a process ended: by exit status or by signal.
struct ChildExit {
  int status = 0;
  int signal = 0;
  std::string to_string() const;  // "exit status 1", "signal 9"
};

// Destroying it kills the process (SIGKILL) and reaps it; one that takes longer than a second to
// die is reaped later, by the event loop. IO thread only. Of our descriptors it gets the
// standard ones or the log alone (Linux 5.11; before that, what was opened without CLOEXEC, too).
class ChildProcess {
 public:
  // Starts the process. `exited` is called once from the event loop, unless the object is destroyed
  // before. Unavailable when it can't be started.
  static Result<std::unique_ptr<ChildProcess>> spawn(Executor executor, const ChildOptions& options,
                                                     std::function<void(ChildExit)> exited);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const;
  bool running() const;
  void terminate();       // SIGTERM: asks
  void send(int signal);  // any other

 private:
  struct State;
  explicit ChildProcess(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// The path of the running program, to start more of itself.
std::string own_program_path();

}  // namespace perigee::net
