// What scenario files can't say: handles, the table of attempts, agreement of explain with plan.
#include "core/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/predictor.h"

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};
constexpr std::uint64_t kHolders = 8;  // remembered per block

CandidateState site(const std::string& name, Duration rtt) {
  CandidateState state;
  state.id = {.site = SiteId{name}, .engine = {}, .model = ModelId{"demo"}};
  state.healthy = true;
  state.rtt = rtt;
  state.load.slots = 8;
  state.load.slots_busy = 2;
  state.load.prefill_tokens_per_s = 4000;
  state.load.decode_ms = 20;
  state.reported = kStart;
  return state;
}

RouteRequest request(std::uint32_t prompt_tokens = 500) {
  RouteRequest request;
  request.model = ModelId{"demo"};
  request.prompt_tokens = prompt_tokens;
  return request;
}

TEST(Router, HandleOfARemovedCandidateFindsNothingEvenWhenItsPlaceIsTaken) {
  Router router{{}};
  const CandidateIndex old = *router.update(site("a", {}), kStart);
  const auto plan = router.plan(request(), kStart);
  router.remove(site("a", {}).id);
  const CandidateIndex next = *router.update(site("b", {}), kStart);
  EXPECT_NE(old, next);
  EXPECT_EQ(router.candidate(old), nullptr);
  EXPECT_EQ(router.started(plan->attempts.front().candidate, request(), kStart), 0U);
  EXPECT_EQ(router.candidate(next)->id.site.str(), "b");
  EXPECT_EQ(router.in_flight(next).requests, 0U);
}

TEST(Router, AttemptAtARemovedCandidateEndsQuietly) {
  Router router{{}};
  const CandidateIndex old = *router.update(site("a", {}), kStart);
  const AttemptTicket ticket = router.started(old, request(), kStart);
  router.remove(site("a", {}).id);
  const CandidateIndex next = *router.update(site("a", {}), kStart);
  router.first_token(ticket, kStart);
  router.finished(ticket, {.kind = AttemptOutcome::Kind::Failed}, kStart);
  EXPECT_EQ(router.in_flight(next).requests, 0U);
  EXPECT_EQ(router.breaker(next, kStart), BreakerState::Closed);
}

TEST(Router, KeepsWhatItLearnedAcrossReports) {
  Router router{{}};
  const CandidateIndex index = *router.update(site("a", {}), kStart);
  for (int i = 0; i < 10; ++i) {
    const AttemptTicket ticket = router.started(index, request(), kStart);
    router.first_token(ticket, kStart + seconds{2});
    router.finished(ticket,
                    {.first_token = seconds{2},
                     .finished = seconds{3},
                     .usage = {.prompt_tokens = 500, .completion_tokens = 50}},
                    kStart + seconds{3});
  }
  CandidateState state = site("a", {});
  state.reported = kStart + seconds{4};
  EXPECT_EQ(*router.update(state, kStart + seconds{4}), index);
  const RouteExplanation explanation = router.explain(request(), kStart + seconds{4});
  EXPECT_NEAR(explanation.candidates[0].ttft_ms, 2000, 200);
  EXPECT_NEAR(explanation.candidates[0].tpot_ms, 1000.0 / 49, 2);
}

TEST(Router, LearnsHowManyTokensAnswersAndPromptsReallyHave) {
  Router router{{}};
  const CandidateIndex index = *router.update(site("a", {}), kStart);
  const double before = router.explain(request(), kStart).candidates[0].prefill_ms;
  for (int i = 0; i < 30; ++i) {
    const AttemptTicket ticket = router.started(index, request(), kStart);
    router.finished(ticket,
                    {.first_token = milliseconds{380},
                     .finished = milliseconds{380 + 20 * 19},
                     .usage = {.prompt_tokens = 1500, .completion_tokens = 20}},
                    kStart);
  }
  const Prediction after = router.explain(request(), kStart).candidates[0];
  EXPECT_NEAR(after.prefill_ms / before, 3, 0.3);
  EXPECT_NEAR((after.finish_ms - after.ttft_ms) / after.tpot_ms, 25, 10);
}

TEST(Router, TakesSeveralAnswersToOneRequestForAsManyAndNotForOneLongOne) {
  Router router{{}};
  const CandidateIndex index = *router.update(site("a", {}), kStart);
  RouteRequest four = request();
  four.choices = 4;
  four.price_sensitivity_ms = 100'000;
  CandidateState priced = site("a", {});
  priced.price_micros_per_mtok = 1'000'000;
  ASSERT_TRUE(router.update(priced, kStart));
  for (int i = 0; i < 30; ++i) {
    const AttemptTicket ticket = router.started(index, four, kStart);
    router.finished(ticket,
                    {.first_token = milliseconds{125},
                     .finished = milliseconds{125 + 20 * 19},
                     .usage = {.prompt_tokens = 500, .completion_tokens = 4 * 20}},
                    kStart);
  }
  RouteRequest one = four;
  one.choices = 1;
  const Prediction each = router.explain(one, kStart).candidates[0];
  const Prediction all = router.explain(four, kStart).candidates[0];
  EXPECT_NEAR(each.tpot_ms, 20, 2) << "all four came at that pace beside each other";
  EXPECT_NEAR((each.finish_ms - each.ttft_ms) / each.tpot_ms, 25, 10);
  EXPECT_DOUBLE_EQ(all.finish_ms, each.finish_ms);
  const double answer = static_cast<double>(each.price_micros) - 500;
  EXPECT_NEAR(static_cast<double>(all.price_micros) - 500, 4 * answer, 4);
}

TEST(Router, LearnsFromAnswersThatCameInOnePiece) {
  Router router{{}};
  const CandidateIndex index = *router.update(site("a", {}), kStart);
  for (int i = 0; i < 100; ++i) {
    const AttemptTicket ticket = router.started(index, request(), kStart);
    router.finished(ticket,
                    {.finished = milliseconds{1000 + 50 * 20},
                     .usage = {.prompt_tokens = 500, .completion_tokens = 50}},
                    kStart);
  }
  EXPECT_NEAR(router.explain(request(), kStart).candidates[0].ttft_ms, 1000, 150);
}

TEST(Router, ExplainDrawsNothingAndAgreesWithPlan) {
  Router router{{.seed = 9}};
  Router untouched{{.seed = 9}};
  for (int i = 0; i < 12; ++i) {
    const CandidateState state = site("s" + std::to_string(i), milliseconds{10 + i % 3});
    ASSERT_TRUE(router.update(state, kStart));
    ASSERT_TRUE(untouched.update(state, kStart));
  }
  for (int i = 0; i < 2000; ++i) {
    const RouteExplanation first = router.explain(request(), kStart);
    const RouteExplanation second = router.explain(request(), kStart);
    const auto plan = router.plan(request(), kStart);
    const auto other = untouched.plan(request(), kStart);
    ASSERT_EQ(plan->attempts.size(), first.attempts.size());
    for (std::size_t k = 0; k < plan->attempts.size(); ++k) {
      ASSERT_EQ(plan->attempts[k].candidate, first.attempts[k].candidate);
      ASSERT_EQ(plan->attempts[k].candidate, second.attempts[k].candidate);
      ASSERT_EQ(plan->attempts[k].candidate, other->attempts[k].candidate);
      ASSERT_EQ(plan->attempts[k].reason, first.attempts[k].reason);
    }
  }
}

TEST(Router, PlansOnWhenTheTableOfAttemptsIsFull) {
  Router router{{.attempts_in_flight_max = 2}};
  const CandidateIndex index = *router.update(site("a", {}), kStart);
  EXPECT_NE(router.started(index, request(), kStart), 0U);
  EXPECT_NE(router.started(index, request(), kStart), 0U);
  const AttemptTicket uncounted = router.started(index, request(), kStart);
  EXPECT_EQ(uncounted, 0U);
  router.first_token(uncounted, kStart);
  router.finished(uncounted, {.kind = AttemptOutcome::Kind::Failed}, kStart);
  EXPECT_EQ(router.in_flight(index).requests, 2U);
  EXPECT_TRUE(router.plan(request(), kStart));
}

TEST(Router, CarriesOnWithAnySizeOfRequest) {
  Router router{{}};
  const CandidateIndex index = *router.update(site("a", {}), kStart);
  RouteRequest huge = request(0xffff'ffff);
  huge.output_tokens = 0xffff'ffff;
  huge.prefix_blocks.assign(200'000, 5);  // more than the table holds, all alike
  huge.jurisdictions.assign(10'000, JurisdictionId{"nowhere"});
  EXPECT_EQ(router.plan(huge, kStart).error().code, Code::DataResidency);
  huge.jurisdictions.clear();
  const auto plan = router.plan(huge, kStart);
  ASSERT_TRUE(plan);
  router.finished(router.started(index, huge, kStart), {}, kStart);
  router.finished(router.started(index, request(0), kStart), {}, kStart);
  EXPECT_EQ(router.in_flight(index).unseen_tokens, 0U);
}

// How many blocks of a chain a candidate was sent, asked by what it expects to be cached.
TEST(Router, FindsTheDeepestBlockSentToEachOfManyCandidates) {
  Random random{4};
  for (int round = 0; round < 200; ++round) {
    Router router{{}};
    RouteRequest wanted = request(64 * 100);
    for (std::uint64_t i = 0; i < 100; ++i) wanted.prefix_blocks.push_back(random.next());
    std::vector<std::uint32_t> sent(1 + random.below(kHolders));
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const auto index = router.update(site("s" + std::to_string(i), {}), kStart);
      sent[i] = static_cast<std::uint32_t>(random.below(4) == 0 ? 0 : random.below(101));
      RouteRequest begun = wanted;
      begun.prefix_blocks.resize(sent[i]);
      router.started(*index, begun, kStart);
    }
    const RouteExplanation explanation = router.explain(wanted, kStart);
    for (const Prediction& p : explanation.candidates) {
      const std::string name = router.candidate(p.candidate)->id.site.str();
      const std::uint32_t blocks = sent[std::stoul(name.substr(1))];
      EXPECT_EQ(p.cached_tokens, std::min(64 * blocks, 64U * 100 - 1)) << round;
    }
  }
}

TEST(Router, SaysWhatItsLocalEnginesHoldAndAnotherBelievesIt) {
  Router here{{}};
  CandidateState engine = site("here", {});
  engine.local = true;
  const CandidateIndex local = *here.update(engine, kStart);
  const CandidateIndex peer = *here.update(site("peer", {}), kStart);
  RouteRequest chat = request(64 * 30);
  RouteRequest other = request(64 * 30);
  for (std::uint64_t i = 1; i <= 30; ++i) {
    chat.prefix_blocks.push_back(i * 0x9e37'79b9'7f4a'7c15);
    other.prefix_blocks.push_back(i * 0xbf58'476d'1ce4'e5b9);
  }
  here.started(local, chat, kStart);
  here.started(peer, other, kStart);
  const PrefixFilter held = here.held_prefixes(ModelId{"demo"}, 1000, kStart);
  EXPECT_EQ(held.inserted(), 30U);
  EXPECT_EQ(held.matched(chat.prefix_blocks), 30U);
  EXPECT_EQ(held.matched(other.prefix_blocks), 0U);
  EXPECT_EQ(here.held_prefixes(ModelId{"demo"}, 10, kStart).matched(chat.prefix_blocks), 10U);
  EXPECT_EQ(here.held_prefixes(ModelId{"another"}, 1000, kStart).inserted(), 0U);

  Router there{{}};
  CandidateState told = site("here", milliseconds{9});
  told.held = std::make_shared<const PrefixFilter>(*PrefixFilter::parse(held.encode()));
  ASSERT_TRUE(there.update(told, kStart));
  EXPECT_GT(there.explain(chat, kStart).candidates[0].cached_tokens, 1800U);
  EXPECT_EQ(there.explain(other, kStart).candidates[0].cached_tokens, 0U);
}

TEST(Router, CountsNoSlotThatThePowerOrTheNetworksOwnWorkTakes) {
  Router router{{}};
  CandidateState state = site("a", {});
  state.load.slots = 10;
  state.reserved_share = 0.1;
  ASSERT_TRUE(router.update(state, kStart));
  EXPECT_EQ(router.explain(request(), kStart).candidates[0].slots_usable, 9U);
  state.power_share = 0.01;
  ASSERT_TRUE(router.update(state, kStart));
  EXPECT_EQ(router.explain(request(), kStart).candidates[0].slots_usable, 1U);
  state.power_share = -1;
  ASSERT_TRUE(router.update(state, kStart));
  EXPECT_EQ(router.explain(request(), kStart).candidates[0].rejection, Rejection::Capacity);
  state.power_share = std::nan("");
  state.reserved_share = std::nan("");
  ASSERT_TRUE(router.update(state, kStart));
  EXPECT_EQ(router.explain(request(), kStart).candidates[0].slots_usable, 10U);
}

TEST(Router, ExpectsMoreThanNothingBeyondThePaceOfASiteJustWithinIt) {
  EXPECT_DOUBLE_EQ(expected_excess_ms(10, 30), 0);
  EXPECT_NEAR(expected_excess_ms(30, 30), 6 * 0.39894, 1e-4);
  EXPECT_NEAR(expected_excess_ms(25, 30), 5 * 0.08332, 1e-4);
  EXPECT_DOUBLE_EQ(expected_excess_ms(200, 30), 170);
  double before = 0;
  for (double tpot = 1; tpot < 300; tpot *= 1.01) {
    const double excess = expected_excess_ms(tpot, 30);
    EXPECT_GE(excess, std::max(before, tpot - 30));
    before = excess;
  }
}

TEST(Router, TakesAPromptToRunOnOneEngineOfASiteAndItsQueueOnAll) {
  Router router{{}};
  CandidateState state = site("a", {});
  state.engines = 4;
  state.load.prefill_tokens_per_s = 16'000;
  state.load.queued_tokens = 8'000;
  const CandidateIndex index = *router.update(state, kStart);
  const Prediction p = router.explain(request(2000), kStart).candidates[0];
  EXPECT_DOUBLE_EQ(p.wait_ms, 500);
  EXPECT_DOUBLE_EQ(p.prefill_ms, 500);
  EXPECT_EQ(p.queued_tokens, 8'000U);
  for (int i = 0; i < 20; ++i) {  // half as fast as it says: 4,000 tokens at its engine
    router.finished(router.started(index, request(2000), kStart),
                    {.first_token = seconds{2}, .finished = seconds{2}}, kStart);
  }
  EXPECT_NEAR(router.explain(request(2000), kStart).candidates[0].ttft_ms, 2000, 50);
}

TEST(Router, RefusesWithTheCodeThatSaysWhatToDo) {
  Router router{{}};
  EXPECT_EQ(router.plan(request(), kStart).error().code, Code::NotFound);
  CandidateState state = site("a", {});
  state.jurisdiction = JurisdictionId{"de"};
  ASSERT_TRUE(router.update(state, kStart));
  RouteRequest lawful = request();
  lawful.jurisdictions = {JurisdictionId{"fr"}};
  EXPECT_EQ(router.plan(lawful, kStart).error().code, Code::DataResidency);
  lawful.jurisdictions = {JurisdictionId{""}};
  EXPECT_EQ(router.plan(lawful, kStart).error().code, Code::DataResidency);
  lawful.jurisdictions = {JurisdictionId{"fr"}, JurisdictionId{"de"}};
  EXPECT_TRUE(router.plan(lawful, kStart));
  state.healthy = false;
  ASSERT_TRUE(router.update(state, kStart));
  EXPECT_EQ(router.plan(lawful, kStart).error().code, Code::Unavailable);
  lawful.deadline = kStart;
  EXPECT_EQ(router.plan(lawful, kStart).error().code, Code::DeadlineExceeded);
}

}  // namespace
}  // namespace perigee
