// Rules that were made for one cluster: SMG, llm-d, Dynamo, LMETRIC.
#include <gtest/gtest.h>

#include "sim/policies/test_grid.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

const RequestView kRequest = TestGrid::prompt(1'000);

TEST(SmgCacheAware, GoesToTheBestMatchAboveItsThreshold) {
  TestGrid grid;
  grid.add_local();
  grid.add_peer(90).cached_tokens = 301;
  grid.add_peer(10).cached_tokens = 300;
  grid.view(1).load.slots_busy = 60;  // within the allowed imbalance
  grid.make(make_smg_cache_aware);
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(SmgCacheAware, GoesToTheSmallestTreeWhenNothingMatchesWell) {
  TestGrid grid;
  grid.add_local();
  grid.add_peer(10);
  grid.add_peer(90);
  grid.make(make_smg_cache_aware);
  for (auto& view : {0U, 1U, 2U}) grid.view(view).cached_tokens = 300;
  EXPECT_EQ(grid.count(TestGrid::prompt(1'000), 9), (std::vector<int>{3, 3, 3}));
}

TEST(SmgCacheAware, GivesUpAffinityWhenLoadIsImbalanced) {
  TestGrid grid;
  grid.add_local().cached_tokens = 960;
  grid.add_peer(10).load.slots_busy = 5;
  grid.add_peer(90).load.slots_busy = 3;
  grid.view(0).load.slots_busy = 67;  // 64 above the least: not yet
  grid.make(make_smg_cache_aware);
  EXPECT_EQ(grid.first(kRequest), 0U);
  grid.view(0).load.slots_busy = 68;
  EXPECT_EQ(grid.first(kRequest), 2U);
}

TEST(SmgLeastLoad, AddsSecondsOfQueueAndOfTheCacheBarrier) {
  TestGrid grid;
  grid.add_local().load.queued_tokens = 3'000;  // 0.3 s
  grid.add_peer(10).load.kv_used = 0.6;         // 0.15 * 1.5 = 0.225 s
  grid.add_peer(90).new_tokens = 2'500;         // 0.25 s
  grid.make(make_smg_least_load);
  const Choice choice = grid.choose(kRequest);
  EXPECT_EQ(choice[0], 1U);
  EXPECT_EQ(choice[1], 2U);
  EXPECT_EQ(choice[2], 0U);
}

TEST(SmgLeastLoad, JoinsTheShortestOwnQueueWhenTheWholeFleetIsDark) {
  TestGrid grid;
  for (int i = 0; i < 3; ++i) {
    CandidateView& view = grid.add_peer(10);
    view.heard = false;
    view.load = {};
    view.own_requests = 4;
  }
  grid.view(1).own_requests = 3;
  grid.view(1).new_tokens = 90'000;
  grid.make(make_smg_least_load);
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(LlmdBlend, WeighsQueueAndCacheUseAgainstThePrefix) {
  TestGrid grid;
  grid.add_local().load = {.queued_requests = 10, .kv_used = 0.5};
  grid.add_peer(90).load = {.queued_requests = 0, .kv_used = 0.5};
  grid.make(make_llmd_blend);
  grid.view(0).cached_tokens = 600;  // 3 * 0.6 < 2 * 1
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(0).cached_tokens = 700;
  EXPECT_EQ(grid.first(kRequest), 0U);
  grid.view(0).load.kv_used = 0.6;  // 2.1 - 0.2 < 2
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(LlmdBlend, CountsEqualQueuesAsShortAndDrawsAmongEquals) {
  TestGrid grid;
  grid.add_local().load.queued_requests = 4;
  grid.add_peer(90).load.queued_requests = 4;
  grid.make(make_llmd_blend);
  const std::vector<int> counts = grid.count(kRequest, 1'000);
  EXPECT_NEAR(counts[0], 500, 80);
}

TEST(LlmdSticky, StaysWithTheWarmWhileTheLossIsBelowTheClassTarget) {
  TestGrid grid;
  grid.add_local();
  grid.add_peer(90).cached_tokens = 800;
  grid.view(1).load.queued_tokens = 9'000;  // 900 ms
  grid.make(make_llmd_sticky);
  RequestView request = kRequest;
  request.service_class = ServiceClass::Interactive;
  EXPECT_EQ(grid.first(request), 1U);
}

TEST(LlmdSticky, BreaksAffinityWhenTheWarmOneWouldTakeTauLonger) {
  TestGrid grid;
  grid.add_local();
  grid.add_peer(90).cached_tokens = 800;
  grid.view(1).load.queued_tokens = 11'000;  // 1.1 s, target 1 s
  grid.make(make_llmd_sticky);
  RequestView request = kRequest;
  request.service_class = ServiceClass::Interactive;
  EXPECT_EQ(grid.first(request), 0U);
  request.service_class = ServiceClass::Standard;
  EXPECT_EQ(grid.first(request), 1U);
}

TEST(LlmdSticky, BelowItsAffinityThresholdTakesTheFewestTokensInFlightAndToCompute) {
  TestGrid grid;
  grid.add_local().load.queued_tokens = 800;
  grid.add_peer(10).cached_tokens = 790;
  grid.view(1).load.queued_tokens = 1'000;  // 1,000 + 210 < 800 + 1,000
  grid.make(make_llmd_sticky);
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(1).load.queued_tokens = 1'600;
  EXPECT_EQ(grid.first(kRequest), 0U);
}

TEST(LlmdSticky, CountsOnlyTheUncachedPartOfWhatItSent) {
  TestGrid grid;
  grid.add_local().cached_tokens = 900;
  grid.add_peer(10).new_tokens = 150;
  grid.make(make_llmd_sticky);
  EXPECT_EQ(grid.first(kRequest), 0U);
  const AttemptTicket ticket = grid.policy().started(0, kRequest, Instant{});
  grid.view(0).own_waiting_tokens = 1'000;
  grid.view(0).new_tokens = 1'000;  // of which 100 are to be computed
  grid.view(0).cached_tokens = 0;
  grid.view(1).cached_tokens = 0;
  EXPECT_EQ(grid.first(kRequest), 0U);
  grid.policy().first_token(ticket, 0, nullptr, Instant{}, Instant{});
  grid.view(1).new_tokens = 50;
  grid.view(0).load.queued_tokens = 60;
  EXPECT_EQ(grid.first(kRequest), 1U);
}

TEST(Dynamo, AddsPrefillLessOverlapAndDecodeBlocks) {
  TestGrid grid;
  grid.add_local().load.kv_used = 0.02;  // 2,000 tokens held
  grid.add_peer(90).load.queued_tokens = 1'900;
  grid.make(make_dynamo);
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(0).cached_tokens = 128;
  EXPECT_EQ(grid.first(kRequest), 0U);
}

TEST(Dynamo, DrawsAmongEqualsWhateverTheRoundTrip) {
  TestGrid grid;
  grid.add_local();
  grid.add_peer(200);
  grid.make(make_dynamo);
  EXPECT_NEAR(grid.count(kRequest, 1'000)[1], 500, 80);
}

TEST(Lmetric, MultipliesNewTokensByTheBatch) {
  TestGrid grid;
  grid.add_local().load.slots_busy = 10;
  grid.add_peer(10).load.slots_busy = 4;
  grid.make(make_lmetric);
  grid.view(0).cached_tokens = 590;  // 410 * 10 > 1,000 * 4
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(0).cached_tokens = 610;
  EXPECT_EQ(grid.first(kRequest), 0U);
}

TEST(Lmetric, AmongIdleOnesTakesTheFewestTokensThenTheNearer) {
  TestGrid grid;
  grid.add_peer(10);
  grid.add_peer(5);
  grid.add_peer(90);
  grid.make(make_lmetric);
  EXPECT_EQ(grid.first(kRequest), 1U);
  grid.view(2).cached_tokens = 64;
  EXPECT_EQ(grid.first(kRequest), 2U);
}

}  // namespace
}  // namespace perigee::sim
