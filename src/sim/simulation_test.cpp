#include "sim/simulation.h"
#include "sim/recorder.h"

#include <gtest/gtest.h>

#include <cmath>

#include <string>

namespace perigee::sim {
namespace {

constexpr const char* kGrid = R"(
duration_s = 60
[[engine]]
name = "gpu"
gpu = "rtx_pro_6000_server"
batch_max = 64
[[site]]
name = "berlin"
latitude = 52.5
longitude = 13.4
jurisdiction = "de"
engines = ["2 x gpu"]
[[site]]
name = "paris"
latitude = 48.9
longitude = 2.4
jurisdiction = "fr"
engines = ["gpu"]
[[site]]
name = "brussels"
latitude = 50.8
longitude = 4.4
jurisdiction = "be"
)";

Scenario scenario(const std::string& more) {
  auto parsed = parse_scenario(kGrid + more, "grid.toml", {});
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *parsed : Scenario{};
}

PolicyResult run(const Scenario& s, std::string_view policy, std::uint64_t seed = 1) {
  const PolicyEntry* entry = find_policy(policy);
  EXPECT_NE(entry, nullptr) << policy;
  RunOptions options;
  options.seed = seed;
  return simulate(s, *entry, options);
}

TEST(Simulation, GivesTheSameDigestTwiceAndAnotherForAnotherSeed) {
  const Scenario s = scenario("[[workload]]\nrate = 20\nturns = 3\nsystem_prompt_tokens = 256\n");
  for (const PolicyEntry& policy : policies()) {
    const std::uint64_t digest = run(s, policy.name).digest;
    EXPECT_EQ(digest, run(s, policy.name).digest) << policy.name;
    EXPECT_NE(digest, run(s, policy.name, 2).digest) << policy.name;
  }
}

// Written down once: every compiler and build type must come to these.
TEST(Simulation, HasTheSameDigestOnEveryBuild) {
  const Scenario s = scenario(
      "[[workload]]\nrate = 20\nturns = 3\nsystem_prompt_tokens = 256\narrivals = 'gamma'\ncv = 2\n"
      "[[workload]]\nrate = 5\narrivals = 'weibull'\ncv = 3\nclients = 4\ndiurnal = true\n");
  EXPECT_EQ(run(s, "nearest").digest, 4181162445223721601U);
  EXPECT_EQ(run(s, "least_load").digest, 8649451451879761423U);
}

TEST(Simulation, AccountsForEveryRequest) {
  const Scenario s = scenario(
      "[[workload]]\nrate = 60\n"
      "[[fault]]\nkind = 'kill'\nsite = 'berlin'\nat_s = 10\nfor_s = 15\n"
      "[[fault]]\nkind = 'cut'\nbetween = ['paris', '*']\nat_s = 30\nfor_s = 10\n"
      "[[fault]]\nkind = 'kill'\nsite = 'berlin'\nengine = 1\nat_s = 45\nfor_s = 5\n"
      "[[fault]]\nkind = 'mute'\nsite = 'berlin'\nat_s = 35\nfor_s = 20\n");
  for (const PolicyEntry& policy : policies()) {
    const PolicyResult r = run(s, policy.name);
    EXPECT_EQ(r.requests, r.served + r.refused + r.failed + r.unlawful + r.unfinished)
        << policy.name;
    EXPECT_GT(r.requests, 3'000U) << policy.name;
    EXPECT_GT(r.served, r.requests / 2) << policy.name;
    std::uint64_t arrived = 0;
    std::uint64_t flows = 0;
    for (const TimelineStep& step : r.timeline) arrived += step.arrived;
    for (const FlowResult& flow : r.flows) flows += flow.requests;
    EXPECT_EQ(arrived, r.requests) << policy.name;
    EXPECT_EQ(flows, r.served) << policy.name;
  }
}

// An engine that still ran it would answer for whatever took its place.
TEST(Simulation, WhatIsOnItsWayOverALinkThatIsCutDoesNotArrive) {
  std::string cuts;
  for (int at_s = 5; at_s < 50; at_s += 3) {
    cuts += "[[fault]]\nkind = 'cut'\nbetween = ['paris', '*']\nat_s = " + std::to_string(at_s) +
            "\nfor_s = 1\n";
  }
  const Scenario s = scenario("[network]\nrtt_base_ms = 400\n[[workload]]\nrate = 60\n" + cuts);
  for (const PolicyEntry& policy : policies()) {
    const PolicyResult r = run(s, policy.name);
    EXPECT_EQ(r.requests, r.served + r.refused + r.failed + r.unlawful + r.unfinished)
        << policy.name;
    EXPECT_GT(r.served, r.requests / 3) << policy.name;
  }
}

TEST(Simulation, ServesNobodyOutsideTheLaw) {
  const Scenario s = scenario(
      "[[tenant]]\nname = 'bank'\njurisdictions = ['de']\n"
      "[[tenant]]\nname = 'shop'\n"
      "[[tenant]]\nname = 'museum'\njurisdictions = ['be']\n"
      "[[workload]]\nrate = 30\n");
  for (const PolicyEntry& policy : policies()) {
    const PolicyResult r = run(s, policy.name);
    EXPECT_EQ(r.law_broken, 0U) << policy.name;
    if (policy.traits.central) continue;
    EXPECT_NEAR(static_cast<double>(r.unlawful), static_cast<double>(r.requests) / 3, 120)
        << policy.name;
  }
}

TEST(Simulation, LeavesAFallenSiteAndComesBack) {
  const Scenario s = scenario(
      "[[workload]]\nrate = 20\nsites = ['berlin']\n"
      "[[fault]]\nkind = 'kill'\nsite = 'berlin'\nengine = 0\nat_s = 20\nfor_s = 20\n"
      "[[fault]]\nkind = 'kill'\nsite = 'berlin'\nengine = 1\nat_s = 20\nfor_s = 20\n");
  const PolicyResult r = run(s, "perigee");
  EXPECT_GT(r.served, r.requests * 97 / 100);
  ASSERT_EQ(r.flows.size(), 2U);  // to itself, and to a neighbour in need
  EXPECT_GT(r.flows[1].requests, r.requests / 5);
}

TEST(Simulation, CountsNoBackboneForWhatStaysAtHome) {
  const Scenario s = scenario("[[workload]]\nrate = 5\nsites = ['berlin', 'paris']\n");
  EXPECT_EQ(run(s, "nearest").backbone_bytes, 0U);
  EXPECT_GT(run(s, "round_robin").backbone_bytes, 0U);
}

TEST(Scenario, NamesFileLineAndKeyOfWhatIsWrong) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c : {
           Case{"[[workload]]\nrate = -1\n", "workload.rate: expected"},
           Case{"[[workload]]\nspeed = 3\n", "workload.speed: no such key"},
           Case{"[[workload]]\nstart_s = 1e6\n", "workload.start_s: expected"},
           Case{"[[workload]]\nstart_s = 5\nend_s = 5\n", "workload.end_s: expected"},
           Case{"[[workload]]\nsites = ['rome']\n", "no site is named 'rome'"},
           Case{"[[workload]]\nrealtime = 0.7\nbatch = 0.7\n", "more than 1 together"},
           Case{"[[workload]]\n[[fault]]\nkind = 'flood'\nsite = 'paris'\n",
                "fault.kind: expected"},
           Case{"[network]\nloss = 2\n[[workload]]\n", "network.loss: expected"},
           Case{"", "workload: expected"},
       }) {
    const auto parsed = parse_scenario(std::string{kGrid} + c.text, "grid.toml", {});
    ASSERT_FALSE(parsed) << c.text;
    EXPECT_NE(parsed.error().message.find("grid.toml:"), std::string::npos)
        << parsed.error().message;
    EXPECT_NE(parsed.error().message.find(c.error), std::string::npos) << parsed.error().message;
  }
}

TEST(Scenario, SaysThatAFolderIsNone) {
  const auto loaded = load_scenario(testing::TempDir(), {});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("is a directory"), std::string::npos)
      << loaded.error().message;
}

TEST(Recorder, HasNoPercentilesAndNoCostOfNothing) {
  const Scenario scenario;
  const PolicyResult result = Recorder{scenario}.result({}, 0, 5);
  EXPECT_TRUE(std::isnan(result.ttft_ms.p50));
  EXPECT_TRUE(std::isnan(result.e2e_ms.p99));
  EXPECT_TRUE(std::isnan(result.timeline.front().ttft_ms_p99));
  EXPECT_TRUE(std::isnan(result.cost_per_mtok));
}

TEST(Scenario, TakesOverridesOfItsKeys) {
  const std::string text = std::string{kGrid} + "[[workload]]\nrate = 5\n";
  const auto parsed =
      parse_scenario(text, "grid.toml", {"network.rtt_ms = 70", "workload.turns = 4", "load = 2"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->network.rtt_ms, 70);
  EXPECT_EQ(parsed->workloads[0].turns, 4);
  EXPECT_EQ(parsed->workloads[0].rate, 10);
  EXPECT_FALSE(parse_scenario(text, "grid.toml", {"network.rtt = 70"}));
}

TEST(Scenario, ShippedOnesAreSound) {
  for (const char* name :
       {"voice-burst", "azure-conv", "mooncake-agents", "follow-the-sun", "mixed-gpus", "site-loss",
        "stale-digests", "residency", "ten-thousand-sites"}) {
    const auto loaded = load_scenario(std::string{PERIGEE_SCENARIOS} + "/" + name + ".toml", {});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->name, name);
    for (const std::string& policy : loaded->policies) {
      EXPECT_NE(find_policy(policy), nullptr) << name << ": " << policy;
    }
  }
}

}  // namespace
}  // namespace perigee::sim
