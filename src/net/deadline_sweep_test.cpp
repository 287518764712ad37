#include "net/deadline_sweep.h"

#include <gtest/gtest.h>

namespace perigee::net {
namespace {

constexpr Duration kTick = milliseconds{1};

class DeadlineSweepTest : public testing::Test {
 protected:
  // Lets `passed` go by and the sweep look.
  void turn(Duration passed) {
    clock_.advance(passed);
    io_.restart();
    io_.run_one();
  }
  // Turns of one tick until the deadline has been noticed; how many it took.
  int turns_until_expired(int most) {
    for (int i = 1; i <= most; ++i) {
      turn(kTick);
      if (expired_ > 0) return i;
    }
    return most + 1;
  }

  ManualClock clock_;
  asio::io_context io_;
  DeadlineSweep sweep_{io_.get_executor(), clock_, kTick};
  int expired_ = 0;
  DeadlineSweep::Entry entry_{sweep_, [](void* count) { ++*static_cast<int*>(count); }, &expired_};
};

TEST_F(DeadlineSweepTest, NoticesADeadlineOnceAndNotBefore) {
  entry_.expire_after(milliseconds{10});
  const int turns = turns_until_expired(20);
  EXPECT_GE(turns, 10);
  EXPECT_LE(turns, 12);
  for (int i = 0; i < 20; ++i) turn(kTick);
  EXPECT_EQ(expired_, 1);
}

TEST_F(DeadlineSweepTest, DoesNotChargeItsOwnLatenessToOthers) {
  entry_.expire_after(milliseconds{10});
  for (int i = 0; i < 4; ++i) turn(seconds{60});  // each counts for two ticks
  EXPECT_EQ(expired_, 0);
  EXPECT_LE(turns_until_expired(20), 10);
}

TEST_F(DeadlineSweepTest, StillNoticesWhenItIsAlwaysLate) {
  entry_.expire_after(milliseconds{10});
  for (int i = 0; i < 50 && expired_ == 0; ++i) turn(seconds{60});
  EXPECT_EQ(expired_, 1);
}

}  // namespace
}  // namespace perigee::net
