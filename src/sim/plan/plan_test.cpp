#include "sim/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/plan/demand.h"
#include "sim/plan/first_guess.h"

namespace perigee::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// "slow" makes 5 tokens a second: too slow for interactive users (50 ms per token) at any load.
// "fast" and "dear" are the same but for the price.
constexpr const char* kKinds = R"(
duration_s = 60
[[engine]]
name = "slow"
gpu = "custom"
decode_base_ms = 200
price_per_hour = 0.1
[[engine]]
name = "fast"
gpu = "custom"
decode_base_ms = 10
prefill_ms_per_1k = 20
price_per_hour = 1
[[engine]]
name = "dear"
gpu = "custom"
decode_base_ms = 10
prefill_ms_per_1k = 20
price_per_hour = 3
)";
constexpr const char* kWorkload = R"(
[[workload]]
rate = 2
interactive = 1
lengths = "fixed"
in_tokens = 200
out_tokens = 40
)";

Result<Plan> plan_of(const std::string& text) {
  auto task = parse_plan(text, "tiny.toml");
  if (!task) return task.error();
  return make_plan(*task, {});
}

TEST(Plan, TakesOneOfTheCheapestKindThatKeepsThePace) {
  const auto plan = plan_of(std::string{R"(candidates = ["4 x slow", "4 x fast", "4 x dear"])"} +
                            kKinds + "[[site]]\nname = \"town\"\n" + kWorkload);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->meets) << plan->shortfall;
  EXPECT_THAT(plan->counts, ElementsAre(ElementsAre(0, 1, 0)));
  EXPECT_THAT(plan->guess, ElementsAre(ElementsAre(0, 1, 0)));
  EXPECT_DOUBLE_EQ(plan->price_per_hour, 1);
  EXPECT_GT(plan->result.requests, 60U);
}

TEST(Plan, PutsOneAtEachOfTwoPlacesThatCannotReachEachOther) {
  const auto plan = plan_of(std::string{R"(candidates = ["4 x fast"])"} + kKinds +
                            "[[site]]\nname = \"east\"\n[[site]]\nname = \"west\"\n" +
                            "[network]\nrtt_ms = 1500\n" + kWorkload);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->meets) << plan->shortfall;
  EXPECT_THAT(plan->counts, ElementsAre(ElementsAre(0, 1, 0), ElementsAre(0, 1, 0)));
  ASSERT_EQ(plan->losses.size(), 2U);
  EXPECT_FALSE(plan->losses[0].holds);
}

TEST(Plan, BuysAReserveWhenTheLossOfASiteIsToBeBorne) {
  const std::string two = std::string{R"(candidates = ["4 x fast"])"} + kKinds +
                          "[[site]]\nname = \"east\"\n[[site]]\nname = \"west\"\n" +
                          "[network]\nrtt_ms = 5\n" + kWorkload;
  const auto lone = plan_of(two);
  ASSERT_TRUE(lone) << lone.error().message;
  EXPECT_EQ(lone->gpus, 1U);
  const auto safe = plan_of(two + "[targets]\nattainment_after_loss = 0.9\n");
  ASSERT_TRUE(safe) << safe.error().message;
  EXPECT_TRUE(safe->meets) << safe->shortfall;
  EXPECT_THAT(safe->counts, ElementsAre(ElementsAre(0, 1, 0), ElementsAre(0, 1, 0)));
}

TEST(Plan, KeepsWhatStandsAlready) {
  const auto plan = plan_of(std::string{R"(candidates = ["4 x fast"])"} + kKinds +
                            "[[site]]\nname = \"town\"\nengines = [\"dear\"]\n" + kWorkload);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->counts, ElementsAre(ElementsAre(0, 0, 1)));
}

TEST(Plan, SaysWhatIsMissedWhenNoPlanMeetsTheTargets) {
  const auto plan = plan_of(std::string{R"(candidates = ["2 x slow"])"} + kKinds +
                            "[[site]]\nname = \"town\"\n" + kWorkload);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_FALSE(plan->meets);
  EXPECT_THAT(plan->shortfall, HasSubstr("99.00 % were asked for"));
}

TEST(Plan, IsTheSameForTheSameSeed) {
  const std::string text = std::string{R"(candidates = ["4 x fast"])"} + kKinds +
                           "[[site]]\nname = \"town\"\n" + kWorkload;
  EXPECT_EQ(plan_of(text)->digest, plan_of(text)->digest);
}

TEST(Plan, RefusesUnknownKeysAndKinds) {
  const std::string base = std::string{kKinds} + "[[site]]\nname = \"town\"\n" + kWorkload;
  for (const std::string& wrong :
       {"candidates = [\"4 x quick\"]" + base, "candidates = [\"0 x fast\"]" + base, base,
        "candidates = [\"fast\"]" + base + "[targets]\nattained = 1\n",
        "candidates = [\"fast\"]" + base + "[search]\npolicy = \"luck\"\n"}) {
    const auto plan = plan_of(wrong);
    ASSERT_FALSE(plan);
    EXPECT_THAT(plan.error().message, HasSubstr("tiny.toml"));
  }
}

TEST(PlanGuess, KnowsErlangC) {
  EXPECT_NEAR(erlang_c(1, 0.5), 0.5, 1e-12);
  EXPECT_NEAR(erlang_c(2, 1), 1.0 / 3, 1e-12);
  EXPECT_NEAR(erlang_c(10, 8), 0.4092, 1e-4);
  EXPECT_EQ(erlang_c(3, 3), 1);
  EXPECT_EQ(erlang_c(3, 0), 0);
}

TEST(PlanGuess, NeedsFewerServersWhenWaitingIsAllowed) {
  EXPECT_GT(servers_needed(8, 100, 0, 0.01, 100), servers_needed(8, 100, 500, 0.01, 100));
  EXPECT_EQ(servers_needed(0, 100, 100, 0.01, 100), 1U);
}

TEST(PlanDemand, FindsTheBusiestTime) {
  const auto task =
      parse_plan(std::string{R"(candidates = ["fast"])"} + kKinds + "[[site]]\nname = \"town\"\n" +
                     kWorkload + "[[workload.burst]]\nstart_s = 40\nend_s = 50\nfactor = 10\n",
                 "tiny.toml");
  ASSERT_TRUE(task) << task.error().message;
  const Demand demand = demand_of(task->scenario, 10, 1);
  EXPECT_DOUBLE_EQ(demand.busiest_s, 40);
  EXPECT_NEAR(demand.rates[0], 20, 5);
  EXPECT_DOUBLE_EQ(demand.in_tokens, 200);
  const Scenario part = excerpt(task->scenario, 40, 10);
  EXPECT_DOUBLE_EQ(part.duration_s, 10);
  EXPECT_DOUBLE_EQ(part.workloads[0].bursts[0].start_s, 0);
}

}  // namespace
}  // namespace perigee::sim
