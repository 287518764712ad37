#include "net/vital_task.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
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

TEST(VitalTask, MayEndByItself) { run(false); }

}  // namespace
}  // namespace perigee::net
