#include "engine/server/standstill_watch.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace perigee::engine_server {
namespace {

constexpr Duration kAsk = milliseconds{500};

class StandstillWatchTest : public testing::Test {
 protected:
  // Looks every kAsk for so long; whether it was found to stand still at any of them.
  bool found_within(Duration time, const llama::Pace& pace) {
    bool found = false;
    for (const Instant end = clock_.now() + time; clock_.now() < end;) {
      clock_.advance(kAsk);
      found = watch_.look(clock_.now(), pace) || found;
    }
    return found;
  }
  ManualClock clock_;
  StandstillWatch watch_;
};

TEST_F(StandstillWatchTest, FindsWorkOfWhichNoStepEnds) {
  EXPECT_FALSE(found_within(kStepMax, {true, 7}));  // the first look begins it
  EXPECT_TRUE(found_within(kAsk, {true, 7}));
  EXPECT_TRUE(found_within(kAsk, {true, 7}));
}

TEST_F(StandstillWatchTest, EveryStepBeginsAnew) {
  for (std::uint64_t step = 0; step < 5; ++step) {
    EXPECT_FALSE(found_within(kStepMax - kAsk, {true, step})) << step;
  }
}

TEST_F(StandstillWatchTest, AnIdleEngineIsNotStuckAndWorkThatComesHasAllItsTime) {
  EXPECT_FALSE(found_within(10 * kStepMax, {false, 7}));
  EXPECT_FALSE(found_within(kStepMax, {true, 7}));
  EXPECT_FALSE(found_within(10 * kStepMax, {false, 7}));
  EXPECT_FALSE(found_within(kStepMax, {true, 7}));
}

TEST_F(StandstillWatchTest, TimeInWhichNobodyWasAnsweredDoesNotCount) {
  EXPECT_FALSE(found_within(seconds{30}, {true, 7}));
  clock_.advance(seconds{300});  // the whole process was stopped
  EXPECT_FALSE(watch_.look(clock_.now(), {true, 7}));
  EXPECT_FALSE(found_within(seconds{20}, {true, 7}));
  EXPECT_TRUE(found_within(seconds{10}, {true, 7}));
}

TEST_F(StandstillWatchTest, WhatGetsOnAfterAllIsWellAgain) {
  EXPECT_TRUE(found_within(2 * kStepMax, {true, 7}));
  EXPECT_FALSE(watch_.look(clock_.now(), {true, 8}));
}

}  // namespace
}  // namespace perigee::engine_server
