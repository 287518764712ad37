#include "net/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <csignal>
#include <optional>

namespace perigee::net {
namespace {

class ChildProcessTest : public ::testing::Test {
 protected:
  std::unique_ptr<ChildProcess> spawn(std::vector<std::string> arguments,
                                      std::optional<ChildExit>& exit) {
    ChildOptions options;
    options.arguments = std::move(arguments);
    return ChildProcess::spawn(context.get_executor(), options,
                               [&exit](ChildExit how) { exit = how; })
        .value();
  }
  // Until it can be reaped, which is left to others.
  static void wait_until_dead(pid_t pid) {
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  }
  asio::io_context context;
};

TEST_F(ChildProcessTest, TellsHowItEnded) {
  std::optional<ChildExit> failed;
  std::optional<ChildExit> killed;
  const auto first = spawn({"/bin/sh", "-c", "exit 3"}, failed);
  const auto second = spawn({"/bin/sleep", "600"}, killed);
  second->send(SIGKILL);
  context.run();
  ASSERT_TRUE(failed && killed);
  EXPECT_EQ(failed->to_string(), "exit status 3");
  EXPECT_EQ(killed->to_string(), "signal 9");
  EXPECT_FALSE(second->running());
}

TEST_F(ChildProcessTest, SaysWhatCanNotBeStarted) {
  ChildOptions options;
  options.arguments = {"/no/program"};
  const auto child =
      ChildProcess::spawn(context.get_executor(), options, [](ChildExit) { FAIL(); });
  ASSERT_FALSE(child);
  EXPECT_NE(child.error().message.find("can't start /no/program"), std::string::npos);
}

// Taken for the end of the pipe, an interrupted read would make a started process of it.
TEST_F(ChildProcessTest, SaysSoThoughSignalsInterruptTheWait) {
  struct sigaction interrupt{};
  interrupt.sa_handler = [](int) {};  // without SA_RESTART
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGALRM, &interrupt, &before), 0);
  const itimerval often{{0, 200}, {0, 200}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
  ChildOptions options;
  options.arguments = {"/no/program"};
  int started = 0;
  for (int i = 0; i < 200; ++i) {
    if (ChildProcess::spawn(context.get_executor(), options, [](ChildExit) {})) ++started;
  }
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  EXPECT_EQ(started, 0);
}

TEST_F(ChildProcessTest, TakesNoDescriptorOfOursAlong) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);  // without CLOEXEC, as Asio
  std::optional<ChildExit> exit;
  const auto child = spawn({"/bin/sleep", "600"}, exit);
  ::close(ends[0]);
  pollfd other{ends[1], POLLIN, 0};
  EXPECT_EQ(::poll(&other, 1, 10'000), 1) << "the child holds the end that we have closed";
  ::close(ends[1]);
}

TEST_F(ChildProcessTest, LeavesNoneBehindThatIsReapedLater) {
  std::optional<ChildExit> exit;
  auto child = spawn({"/bin/sleep", "600"}, exit);
  const pid_t pid = child->pid();
  child.reset();
  context.run();
  EXPECT_FALSE(exit);
  EXPECT_EQ(::kill(pid, 0), -1) << "it was reaped";
}

// Two events come at once: something that has the child replaced, and then the end of the child
// that was, when the new one stands in its place already.
TEST_F(ChildProcessTest, IsNotTakenForTheOneThatItReplaces) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  asio::posix::basic_stream_descriptor<Executor> something{context.get_executor(), pipe[0]};
  std::optional<ChildExit> exit;
  auto child = spawn({"/bin/sleep", "600"}, exit);
  something.async_wait(asio::posix::descriptor_base::wait_read, [&](boost::system::error_code) {
    child.reset();
    child = spawn({"/bin/sleep", "600"}, exit);
  });
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  child->send(SIGKILL);
  wait_until_dead(child->pid());
  while (context.poll() > 0) {
  }
  EXPECT_FALSE(exit);
  ASSERT_TRUE(child->running());
  child->send(SIGKILL);
  context.run();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->signal, SIGKILL);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace perigee::net
