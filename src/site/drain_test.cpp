#include "site/drain.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

class DrainTest : public testing::Test {
 protected:
  // Turns the event loop until the condition holds; false after ten seconds.
  template <class Condition>
  bool run_until(Condition condition) {
    const auto late = std::make_shared<bool>(false);
    asio::steady_timer deadline{io_, std::chrono::seconds{10}};
    deadline.async_wait([late](boost::system::error_code status) { *late = !status; });
    while (!condition() && !*late) io_.run_one();
    return !*late;
  }
  asio::io_context io_{1};
  int left_ = 0;
  Drain drain_{io_.get_executor(), milliseconds{20}, [this] { ++left_; }};
};

TEST_F(DrainTest, SendsWorkElsewhereWhenTheGraceIsOverAndAgainForWhatSlipsIn) {
  drain_.set(true);
  EXPECT_TRUE(drain_.drained());
  EXPECT_EQ(left_, 0) << "it has its grace";
  EXPECT_TRUE(run_until([this] { return left_ == 2; }));
}

TEST_F(DrainTest, LetsWorkEndWhenItIsDrainedNoMore) {
  drain_.set(true);
  drain_.set(false);
  EXPECT_FALSE(drain_.drained());
  asio::steady_timer later{io_, std::chrono::milliseconds{60}};
  bool passed = false;
  later.async_wait([&passed](boost::system::error_code) { passed = true; });
  EXPECT_TRUE(run_until([&] { return passed; }));
  EXPECT_EQ(left_, 0);
}

}  // namespace
}  // namespace perigee
