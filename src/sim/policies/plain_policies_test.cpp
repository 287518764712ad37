// round_robin, least_load, nearest, nearest_overflow, p2c, prequal, central_pooled, and what holds
// for all.
#include <gtest/gtest.h>

#include "sim/policies/test_grid.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

const RequestView kRequest = TestGrid::prompt(1'000);

constexpr TestGrid::Maker kMakers[] = {
    make_round_robin, make_least_load,  make_nearest,         make_nearest_overflow,
    make_p2c,         make_prequal,     make_smg_cache_aware, make_smg_least_load,
    make_llmd_blend,  make_llmd_sticky, make_dynamo,          make_gorgo,
    make_skywalker,   make_lmetric,     make_central_pooled,  make_oracle};

TEST(AllPolicies, NeverChooseWhatIsNotAllowed) {
  for (const TestGrid::Maker maker : kMakers) {
    TestGrid grid;
    grid.add_local().allowed = false;
    grid.add_peer(5).cached_tokens = 100;
    grid.add_peer(50).allowed = false;
    grid.add_peer(90);
    grid.make(maker);
    for (int i = 0; i < 20; ++i) {
      const Choice choice = grid.choose(kRequest);
      ASSERT_EQ(choice.size(), 2U);
      EXPECT_EQ(choice[0] + choice[1], 4U);
      EXPECT_FALSE(choice.pooled);
    }
  }
}

TEST(AllPolicies, RefuseWhenNothingIsAllowed) {
  for (const TestGrid::Maker maker : kMakers) {
    TestGrid grid;
    grid.add_local().allowed = false;
    grid.make(maker);
    EXPECT_TRUE(grid.choose(kRequest).empty());
  }
}

TEST(AllPolicies, DecideTheSameFromTheSameSeed) {
  for (const TestGrid::Maker maker : kMakers) {
    std::vector<std::uint32_t> seen[2];
    for (auto& firsts : seen) {
      TestGrid grid;
      for (int i = 0; i < 5; ++i) grid.add_peer(10);
      grid.make(maker, 42);
      for (int i = 0; i < 50; ++i) firsts.push_back(grid.first(kRequest));
    }
    EXPECT_EQ(seen[0], seen[1]);
  }
}

TEST(RoundRobin, GivesEachEngineOfEverySiteItsTurn) {
  TestGrid grid;
  grid.add_local();
  grid.add_peer(10, 3);
  grid.add_peer(90);
  grid.make(make_round_robin);
  EXPECT_EQ(grid.count(kRequest, 50), (std::vector<int>{10, 30, 10}));
}

TEST(LeastLoad, CountsWhatRunsWaitsAndIsOnItsWay) {
  TestGrid grid;
  grid.add_local().load.slots_busy = 5;
  grid.add_peer(10).load.queued_requests = 4;
  grid.add_peer(90).new_requests = 3;
  grid.make(make_least_load);
  const Choice choice = grid.choose(kRequest);
  EXPECT_EQ(choice[0], 2U);
  EXPECT_EQ(choice[1], 1U);
  EXPECT_EQ(choice[2], 0U);
}

TEST(LeastLoad, ComparesSitesByTheirMeanPerEngineAndPrefersTheNearerOfEquals) {
  TestGrid grid;
  grid.add_local().load.slots_busy = 3;
  grid.add_peer(10, 4).load.slots_busy = 8;
  grid.add_peer(90, 2).load.slots_busy = 4;
  grid.make(make_least_load);
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(Nearest, StaysHoweverLongTheQueueIsAndLevelsOwnEngines) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 500;
  grid.add_local().load.queued_requests = 400;
  grid.add_peer(5);
  grid.make(make_nearest);
  const Choice choice = grid.choose(kRequest);
  EXPECT_EQ(choice[0], 1U);
  EXPECT_EQ(choice[1], 0U);
  EXPECT_EQ(choice[2], 2U);
}

TEST(NearestOverflow, GoesToTheNextWhenQueueSlotsOrCacheAreFull) {
  TestGrid grid;
  grid.add_local().load.slots_busy = 60;
  grid.add_peer(10);
  grid.add_peer(90);
  grid.make(make_nearest_overflow);
  EXPECT_EQ(grid.first(kRequest), 0U);
  grid.view(0).new_requests = 4;  // the last slots
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(0) = grid.view(2);
  grid.view(0).rtt_ms = 0;
  grid.view(0).load.queued_requests = 5;
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(1).load.kv_used = 0.8;
  EXPECT_EQ(grid.first(kRequest), 2U);
}

TEST(NearestOverflow, TakesTheLeastFullWhenAllAreFull) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 20;
  grid.add_peer(10).load.queued_requests = 30;
  grid.add_peer(90).load.queued_requests = 6;
  grid.make(make_nearest_overflow);
  EXPECT_EQ(grid.first(kRequest), 2U);
}

TEST(TwoChoices, NeverTakesTheWorstAndTakesTheBestOfThreeTwoTimesInThree) {
  TestGrid grid;
  grid.add_local().load.slots_busy = 9;
  grid.add_peer(10).load.slots_busy = 1;
  grid.add_peer(90).load.slots_busy = 5;
  grid.make(make_p2c);
  const std::vector<int> counts = grid.count(kRequest, 3'000);
  EXPECT_EQ(counts[0], 0);
  EXPECT_NEAR(counts[1], 2'000, 120);
  EXPECT_NEAR(counts[2], 1'000, 120);
}

TEST(Prequal, TakesTheLeastLatencyAmongTheCold) {
  TestGrid grid;
  grid.add_local().load = {.slots_busy = 4, .decode_ms = 20};
  grid.add_peer(10).load = {.slots_busy = 5, .decode_ms = 12};
  grid.add_peer(20).load = {.slots_busy = 3, .decode_ms = 15};
  grid.add_peer(30).load = {.slots_busy = 40, .decode_ms = 8};  // fast, but hot
  grid.make(make_prequal);
  const Choice choice = grid.choose(kRequest);
  EXPECT_EQ(choice[0], 1U);
  EXPECT_EQ(choice[1], 2U);
  EXPECT_EQ(choice[2], 0U);
  EXPECT_EQ(choice[3], 3U);
}

TEST(Prequal, AddsItsOwnRequestsToWhatAProbeSaid) {
  TestGrid grid;
  for (int i = 0; i < 4; ++i) grid.add_peer(10).load.slots_busy = 3;
  grid.view(2).load.decode_ms = 5;
  grid.make(make_prequal);
  EXPECT_EQ(grid.first(kRequest), 2U);
  grid.view(2).new_requests = 20;
  EXPECT_NE(grid.first(kRequest), 2U);
}

TEST(Prequal, ForgetsProbesOlderThanASecond) {
  TestGrid grid;
  for (int i = 0; i < 3; ++i) grid.add_peer(10);
  grid.view(1).load.decode_ms = 5;
  grid.view(1).reported -= milliseconds{1'001};
  grid.make(make_prequal);
  EXPECT_EQ(grid.count(kRequest, 100)[1], 0);
}

TEST(Prequal, DrawsWhenFewerThanTwoProbesAreFresh) {
  TestGrid grid;
  grid.add_peer(10);
  grid.add_peer(10).reported -= seconds{2};
  grid.add_peer(10, 2).reported -= seconds{2};
  grid.make(make_prequal);
  const std::vector<int> counts = grid.count(kRequest, 2'000);
  EXPECT_NEAR(counts[0], 500, 100);
  EXPECT_NEAR(counts[2], 1'000, 120);
}

TEST(CentralPooled, WaitsInTheSitesOneQueue) {
  TestGrid grid;
  grid.add_local().load.slots_busy = 2;
  grid.add_local();
  grid.make(make_central_pooled);
  const Choice choice = grid.choose(kRequest);
  EXPECT_TRUE(choice.pooled);
  EXPECT_EQ(choice[0], 1U);
}

}  // namespace
}  // namespace perigee::sim
