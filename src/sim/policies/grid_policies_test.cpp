// Rules that were made for several sites: gorgo, skywalker; and the oracle.
#include <gtest/gtest.h>

#include "sim/policies/test_grid.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

const RequestView kRequest = TestGrid::prompt(1'000);

TEST(Gorgo, AddsRoundTripQueueRunningAndUncachedPrefill) {
  TestGrid grid;
  grid.add_local().load.queued_tokens = 400;  // 37.6 ms
  grid.add_peer(36);
  grid.make(make_gorgo);
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(1).load.kv_used = 0.001;  // 100 tokens run: 9.4 ms
  EXPECT_EQ(grid.first(kRequest), 0U);
  grid.view(1).cached_tokens = 128;  // 12 ms less
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(Gorgo, CountsWhatItSentItself) {
  TestGrid grid;
  grid.add_local().new_tokens = 1'000;  // 94 ms
  grid.add_peer(90);
  grid.make(make_gorgo);
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(SkyWalker, KeepsToOwnEnginesWhileOneHasNothingPending) {
  TestGrid grid;
  grid.add_local().load = {.slots_busy = 30, .queued_requests = 1};
  grid.add_local().load.slots_busy = 40;
  grid.add_peer(5);
  grid.make(make_skywalker);
  const Choice choice = grid.choose(kRequest);
  EXPECT_EQ(choice[0], 1U);
  EXPECT_FALSE(choice.pooled);
}

TEST(SkyWalker, PushesToAPeerOnlyIfNothingIsPendingThere) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 2;
  grid.add_peer(5).load.queued_requests = 1;
  grid.add_peer(90);
  grid.make(make_skywalker);
  EXPECT_EQ(grid.first(kRequest), 2U);
}

TEST(SkyWalker, WaitsAtItsBalancerWhenNoneIsAvailable) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 2;
  grid.add_peer(5).load.queued_requests = 1;
  grid.make(make_skywalker);
  const Choice choice = grid.choose(kRequest);
  EXPECT_TRUE(choice.pooled);
  EXPECT_EQ(choice[0], 0U);
}

TEST(SkyWalker, KnowsThatASiteWithFewerPendingThanEnginesHasAFreeOne) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 2;
  grid.add_peer(5, 4).load.queued_requests = 4;
  grid.add_peer(90, 4).load.queued_requests = 3;
  grid.make(make_skywalker);
  EXPECT_EQ(grid.first(kRequest), 2U);
}

TEST(SkyWalker, FollowsThePrefixAmongTheAvailableOnly) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 2;
  grid.add_peer(5).cached_tokens = 960;
  grid.view(1).load.queued_requests = 1;
  grid.add_peer(90).cached_tokens = 512;
  grid.add_peer(50);
  grid.make(make_skywalker);
  EXPECT_EQ(grid.first(kRequest), 2U);
  grid.view(2).load.slots_busy = 33;  // imbalanced
  EXPECT_EQ(grid.first(kRequest), 3U);
}

TEST(Oracle, TakesTheEarliestTrueEnd) {
  TestGrid grid;
  CandidateView& near = grid.add_local();
  near.true_ttft_ms = 100;
  near.true_tpot_ms = 12;
  CandidateView& far = grid.add_peer(50);
  far.true_ttft_ms = 150;
  far.true_tpot_ms = 11;
  grid.make(make_oracle);
  RequestView request = kRequest;
  request.output_tokens = 40;
  EXPECT_EQ(grid.first(request), 0U);
  request.output_tokens = 60;
  EXPECT_EQ(grid.first(request), 1U);
}

TEST(Oracle, SeesWhatAllSitesHaveOnTheWayUntilItArrives) {
  TestGrid grid;
  grid.add_peer(60);
  grid.add_peer(90);
  grid.view(0).true_ttft_ms = 100;
  grid.view(1).true_ttft_ms = 160;
  grid.make(make_oracle);
  TestGrid other;  // of the same run
  other.share(grid);
  other.add_peer(40);
  other.make(make_oracle);
  const Instant now{seconds{1}};
  other.policy().started(0, kRequest, now);  // 100 ms of prefill, 20 ms away
  EXPECT_EQ(grid.choose(kRequest, now)[0], 1U);
  EXPECT_EQ(grid.choose(kRequest, now + milliseconds{20})[0], 0U);
}

}  // namespace
}  // namespace perigee::sim
