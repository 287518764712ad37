#include "net/vital_task.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <stdexcept>

#include "net/task.h"

namespace perigee::net {
namespace {

Task<> work(Executor executor, bool broken) {
  co_await asio::post(executor, asio::deferred);
  if (broken) throw std::runtime_error{"no memory for it"};
}

void run(bool broken) {
  asio::io_context context{1};
  asio::co_spawn(context, work(context.get_executor(), broken), VitalTask{"watching the clock"});
  context.run();
}

TEST(VitalTaskDeathTest, AnExceptionEndsTheProcessWithALineThatNamesTaskAndException) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run(true), "this process ends.*watching the clock.*no memory for it");
}

// Where the log goes, a pipe that nobody reads any more.
void fill_the_log() {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_NONBLOCK), 0);
  const std::array<char, 4096> bytes{};
  while (::write(pipe[1], bytes.data(), bytes.size()) > 0) {
  }
  ::fcntl(pipe[1], F_SETFL, 0);  // from now on a write waits
  ::dup2(pipe[1], STDERR_FILENO);
}

TEST(VitalTaskDeathTest, AnExceptionEndsTheProcessThoughNobodyReadsItsLog) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        fill_the_log();
        run(true);
      },
      testing::KilledBySignal(SIGALRM), "");
}

TEST(VitalTask, MayEndByItself) { run(false); }

}  // namespace
}  // namespace perigee::net
