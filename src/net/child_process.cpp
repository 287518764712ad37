#include "net/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

namespace perigee::net {
namespace {

// A killed process is nearly always dead at once; one that a driver or a disk holds may never be.
constexpr int kDyingMax_ms = 1000;

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = ::environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  all.insert(all.end(), added.begin(), added.end());
  return all;
}

// Between fork and exec: only async-signal-safe calls.
[[noreturn]] void become(const std::vector<char*>& argv, const std::vector<char*>& envp, int log_fd,
                         bool own_group, pid_t parent, int error_fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent died before prctl
  if (own_group) ::setpgid(0, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null_fd, STDIN_FILENO);
  if (log_fd >= 0) {
    ::dup2(log_fd, STDOUT_FILENO);
    ::dup2(log_fd, STDERR_FILENO);
  }
  // Asio opens its sockets without CLOEXEC: a child that holds one keeps it open, and watched, when
  // we close it.
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(argv[0], argv.data(), envp.data());
  const int error = errno;
  const ssize_t ignored = ::write(error_fd, &error, sizeof error);
  ::_exit(ignored == sizeof error ? 127 : 126);
}

// 0 when the child has become its program, else why it could not. Signals that we handle do not end
// the wait: it would be taken for success.
int exec_error_of(int pipe) {
  int error = 0;
  ssize_t bytes = 0;
  do {
    bytes = ::read(pipe, &error, sizeof error);
  } while (bytes < 0 && errno == EINTR);
  return bytes == sizeof error ? error : 0;
}

// Waits for one that is about to end.
void wait_for_end(pid_t child) {
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

struct ChildProcess::State : std::enable_shared_from_this<ChildProcess::State> {
  State(Executor executor, pid_t child, int pidfd, std::function<void(ChildExit)> on_exit)
      : pid(child), exit_event(executor, pidfd), exited(std::move(on_exit)) {}

  void watch() {
    exit_event.async_wait(asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (!error && self->pid > 0) self->reap();
                          });
  }

  // Watches on when there is nothing: Asio reuses what it keeps of a descriptor, and may tell an
  // event that was meant for the one before.
  void reap() {
    const std::optional<ChildExit> how = take_exit();
    if (!how) return watch();
    if (const auto callback = std::exchange(exited, nullptr)) callback(*how);
  }

  // How it ended, once: its pid is nobody's after that. Nothing while it runs. Never waits.
  std::optional<ChildExit> take_exit() {
    siginfo_t info{};
    const int status = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
    if (status == 0 && info.si_pid == 0) return std::nullopt;
    pid = -1;
    ChildExit how;
    (info.si_code == CLD_EXITED ? how.status : how.signal) = info.si_status;
    return how;
  }

  pid_t pid;
  asio::posix::basic_stream_descriptor<Executor> exit_event;
  std::function<void(ChildExit)> exited;
};

std::string ChildExit::to_string() const {
  return signal != 0 ? "signal " + std::to_string(signal) : "exit status " + std::to_string(status);
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::spawn(Executor executor,
                                                          const ChildOptions& options,
                                                          std::function<void(ChildExit)> exited) {
  const std::vector<std::string> environment = environment_with(options.environment);
  const std::vector<char*> argv = pointers(options.arguments);
  const std::vector<char*> envp = pointers(environment);
  const std::string program = options.arguments.empty() ? "" : options.arguments.front();
  int log_fd = -1;
  if (!options.log_path.empty()) {
    log_fd = ::open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) {
      return Error{Code::Unavailable,
                   "can't open the log file " + options.log_path + ": " + std::strerror(errno)};
    }
  }
  std::array<int, 2> error_pipe{};
  if (::pipe2(error_pipe.data(), O_CLOEXEC) != 0) {
    if (log_fd >= 0) ::close(log_fd);
    return Error{Code::ResourceExhausted,
                 std::string{"can't start "} + program + ": " + std::strerror(errno)};
  }
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    become(argv, envp, log_fd, options.own_group, parent, error_pipe[1]);
  }
  const int fork_error = errno;
  ::close(error_pipe[1]);
  if (log_fd >= 0) ::close(log_fd);
  const int exec_error = child < 0 ? fork_error : exec_error_of(error_pipe[0]);
  if (child > 0 && exec_error != 0) wait_for_end(child);
  ::close(error_pipe[0]);
  if (exec_error != 0) {
    return Error{Code::Unavailable, "can't start " + program + ": " + std::strerror(exec_error)};
  }
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (pidfd < 0) {
    ::kill(child, SIGKILL);
    wait_for_end(child);
    return Error{Code::Unavailable, "pidfd_open failed: Linux 5.3 or newer is needed"};
  }
  auto state = std::make_shared<State>(executor, child, pidfd, std::move(exited));
  state->watch();
  return std::unique_ptr<ChildProcess>{new ChildProcess{std::move(state)}};
}

ChildProcess::ChildProcess(std::shared_ptr<State> state) : state_(std::move(state)) {}

ChildProcess::~ChildProcess() {
  state_->exited = nullptr;
  if (state_->pid <= 0) {
    state_->exit_event.close();
    return;
  }
  ::kill(state_->pid, SIGKILL);
  pollfd end{state_->exit_event.native_handle(), POLLIN, 0};
  ::poll(&end, 1, kDyingMax_ms);
  if (state_->take_exit())
    state_->exit_event.close();  // else watched on, and reaped when it is dead
}

pid_t ChildProcess::pid() const { return state_->pid; }
bool ChildProcess::running() const { return state_->pid > 0; }
void ChildProcess::terminate() { send(SIGTERM); }
void ChildProcess::send(int signal) {
  if (state_->pid > 0) ::kill(state_->pid, signal);
}

std::string own_program_path() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string{"/proc/self/exe"} : path.string();
}

}  // namespace perigee::net
