#include "core/breaker.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};

Breaker opened(Instant now) {
  Breaker breaker;
  for (std::uint32_t i = 0; i < kFailuresInRow; ++i) breaker.failed(breaker.started(now), now);
  return breaker;
}

TEST(Breaker, OpensAfterFailuresInARow) {
  Breaker breaker;
  breaker.failed(false, kStart);
  breaker.failed(false, kStart);
  breaker.succeeded(false, kStart);
  breaker.failed(false, kStart);
  breaker.failed(false, kStart);
  EXPECT_TRUE(breaker.admits(kStart));
  breaker.failed(false, kStart);
  EXPECT_FALSE(breaker.admits(kStart));
  EXPECT_EQ(breaker.state(kStart), BreakerState::Open);
}

TEST(Breaker, OpensWhenMoreThanHalfFail) {
  Breaker breaker;
  for (int i = 0; i < 3; ++i) {
    breaker.failed(false, kStart);
    breaker.failed(false, kStart);
    breaker.succeeded(false, kStart);
  }
  EXPECT_TRUE(breaker.admits(kStart));
  breaker.failed(false, kStart);
  EXPECT_FALSE(breaker.admits(kStart));
}

TEST(Breaker, ForgetsOldFailures) {
  Breaker breaker;
  for (int i = 0; i < 8; ++i) {
    breaker.failed(false, kStart);
    breaker.succeeded(false, kStart);
  }
  breaker.failed(false, kStart + 20 * kErrorMemory);
  breaker.failed(false, kStart + 20 * kErrorMemory);
  EXPECT_TRUE(breaker.admits(kStart + 20 * kErrorMemory));
}

TEST(Breaker, LetsOneProbeInAtATime) {
  Breaker breaker = opened(kStart);
  EXPECT_FALSE(breaker.started(kStart));
  const Instant later = kStart + kOpenFirst;
  EXPECT_EQ(breaker.state(later), BreakerState::HalfOpen);
  EXPECT_TRUE(breaker.admits(later));
  EXPECT_TRUE(breaker.started(later));
  EXPECT_FALSE(breaker.admits(later));
  EXPECT_FALSE(breaker.started(later));
  breaker.released(true);
  EXPECT_TRUE(breaker.admits(later));
  EXPECT_TRUE(breaker.started(later));
  breaker.succeeded(true, later);
  EXPECT_EQ(breaker.state(later), BreakerState::Closed);
}

TEST(Breaker, WaitsTwiceAsLongEachTimeUpToAMaximum) {
  Breaker breaker = opened(kStart);
  Instant now = kStart;
  Duration expected = kOpenFirst;
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(breaker.probes_at(), now + expected) << i;
    now = breaker.probes_at();
    breaker.failed(breaker.started(now), now);
    expected = std::min(expected * 2, kOpenMost);
  }
}

TEST(Breaker, IsNotMovedByAttemptsFromBeforeItOpened) {
  Breaker breaker = opened(kStart);
  const Instant probes_at = breaker.probes_at();
  breaker.failed(false, kStart + seconds{1});
  breaker.succeeded(false, kStart + seconds{1});
  EXPECT_EQ(breaker.probes_at(), probes_at);
  EXPECT_EQ(breaker.state(kStart + seconds{1}), BreakerState::Open);
}

TEST(Breaker, StartsClosedWhenItsCandidateWasAwayAndIsBack) {
  Breaker breaker;
  const Instant now{seconds{100}};
  for (int i = 0; i < 3; ++i) breaker.failed(false, now);
  ASSERT_EQ(breaker.state(now), BreakerState::Open);
  breaker.returned();
  ASSERT_EQ(breaker.state(now), BreakerState::Closed);
  for (int i = 0; i < 3; ++i) breaker.failed(false, now);
  EXPECT_EQ(breaker.state(now + kOpenFirst), BreakerState::Open) << "longer than the first time";
}

}  // namespace
}  // namespace perigee
