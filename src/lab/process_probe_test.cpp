#include "lab/process_probe.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "lab/clock_shift.h"
#include "lab/lab_run.h"
#include "net/child_process.h"
#include "net/test_support.h"

namespace perigee::lab {
namespace {

class ProcessProbe : public testing::Test {
 protected:
  std::unique_ptr<net::ChildProcess> start(const std::string& script,
                                           std::vector<std::string> environment = {}) {
    net::ChildOptions options;
    options.arguments = {"/bin/sh", "-c", script, "perigee-lab-probe"};
    options.environment = std::move(environment);
    return net::ChildProcess::spawn(context_.get_executor(), options,
                                    [this](net::ChildExit how) { ended_ = how; })
        .value();
  }
  net::ChildExit wait() {
    while (!ended_) context_.run_one();
    return *ended_;
  }

  asio::io_context context_{1};
  std::optional<net::ChildExit> ended_;
};

TEST_F(ProcessProbe, FindsTheChildrenThatHaveTheWordAsAnArgument) {
  const auto child = start("kill -STOP $$");
  const auto found = children_of(::getpid(), "perigee-lab-probe");
  EXPECT_EQ(found, std::vector<int>{child->pid()});
  EXPECT_TRUE(children_of(::getpid(), "perigee-lab").empty());
  EXPECT_TRUE(size_of(child->pid()));
  EXPECT_GT(size_of(::getpid())->descriptors, 2);
}

TEST_F(ProcessProbe, AFullDiskIsAnErrorToTheWriterAndMends) {
  prepare_process();
  std::array<char, 32> path{"/tmp/perigee-lab-test.XXXXXX"};
  ::close(::mkstemp(path.data()));
  const std::string file = path.data();
  // Says by its exit status: 3 when the first write failed and a later one did not.
  const auto child = start("kill -STOP $$; echo a > " + file +
                           " && exit 1; kill -STOP $$; echo b > " + file + " || exit 2; exit 3");
  const auto handle = ProcessHandle::open(child->pid());
  ASSERT_TRUE(handle);
  int status = 0;
  ASSERT_EQ(::waitpid(child->pid(), &status, WUNTRACED), child->pid());
  ASSERT_TRUE(handle->limit_files(0));
  ASSERT_TRUE(handle->send(SIGCONT));
  ASSERT_EQ(::waitpid(child->pid(), &status, WUNTRACED), child->pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  ASSERT_TRUE(handle->limit_files(std::nullopt));
  ASSERT_TRUE(handle->send(SIGCONT));
  EXPECT_EQ(wait().status, 3);
  std::remove(file.c_str());
}

TEST_F(ProcessProbe, TheClockOfAProcessJumpsForIt) {
  std::array<char, 32> folder{"/tmp/perigee-lab-test.XXXXXX"};
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string file = std::string{folder.data()} + "/clock";
  auto shift = ClockShift::create(file, PERIGEE_CLOCK_SHIM);
  ASSERT_TRUE(shift) << shift.error().message;
  (*shift)->set(3600.0 * 24 * 365 * 100);
  // In a century from now, whenever this test runs.
  const auto child = start("test $(date +%Y) -gt 2120", (*shift)->environment());
  EXPECT_EQ(wait().status, 0);
  std::remove(file.c_str());
  ::rmdir(folder.data());
}

}  // namespace
}  // namespace perigee::lab
