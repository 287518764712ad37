#include "sim/trial/trial.h"

#include <gtest/gtest.h>

#include <string>

#include "sim/trial/batch.h"

namespace perigee::sim {
namespace {

std::string told(const BatchResult& batch) {
  std::string text;
  for (const TrialResult& trial : batch.failures) {
    const Finding& first = trial.findings.front();
    text += "\nperigee sim-faults --seed " + std::to_string(trial.seed) +
            " --trace: " + std::string{to_string(first.check)} + ": " + first.what;
  }
  return text;
}

TEST(Trial, SomeHundredSeedsHoldEveryInvariantAndHitEveryProbe) {
  BatchOptions options;
  options.seeds = 400;
  const BatchResult batch = run_trials(options);
  EXPECT_EQ(batch.failed, 0U) << told(batch);
  EXPECT_TRUE(batch.unrepeatable.empty());
  EXPECT_EQ(batch.repeated, 40U);
  for (const Probe probe : batch.blind()) ADD_FAILURE() << "never hit: " << to_string(probe);
}

TEST(Trial, IsTheSameOnEveryThreadAndInEveryOrder) {
  BatchOptions options;
  options.seeds = 20;
  const std::uint64_t digest = run_trials(options).digest;
  options.jobs = 3;
  EXPECT_EQ(run_trials(options).digest, digest);
  options.first = 2;
  EXPECT_NE(run_trials(options).digest, digest);
}

TEST(Trial, TellsEveryEventWhenAsked) {
  std::string log;
  TrialOptions options;
  options.log = [&](std::string_view line) { log += std::string{line} + "\n"; };
  const TrialSpec spec = random_trial(7);
  const std::uint64_t digest = run_trial(spec, 7, options).digest;
  EXPECT_NE(log.find("attempt"), std::string::npos);
  EXPECT_NE(log.find("breaks: "), std::string::npos);
  EXPECT_EQ(run_trial(spec, 7, {}).digest, digest);  // looking changes nothing
}

// Each checker can fail: a defect that is planted is found, by the checker that is there for it.
struct Planted {
  Defect defect;
  Check check;
  std::uint64_t seeds = 60;
};

class PlantedDefect : public testing::TestWithParam<Planted> {};

TEST_P(PlantedDefect, IsFound) {
  BatchOptions options;
  options.seeds = GetParam().seeds;
  options.defect = GetParam().defect;
  const BatchResult batch = run_trials(options);
  std::size_t found = 0;
  for (const TrialResult& trial : batch.failures) {
    for (const Finding& finding : trial.findings) found += finding.check == GetParam().check;
  }
  EXPECT_GT(found, 0U) << told(batch);
}

INSTANTIATE_TEST_SUITE_P(Trial, PlantedDefect,
                         testing::Values(Planted{Defect::IgnoresLaw, Check::Law},
                                         Planted{Defect::BillsTriesApart, Check::Records},
                                         Planted{Defect::RepeatsToken, Check::Tokens},
                                         Planted{Defect::SkipsToken, Check::Tokens},
                                         Planted{Defect::LosesRefusals, Check::Ends},
                                         Planted{Defect::KeepsSlots, Check::Ends},
                                         Planted{Defect::OverfillsLedger, Check::Bounds},
                                         Planted{Defect::LosesRecords, Check::Records},
                                         Planted{Defect::RefusesIdle, Check::WorkConservation},
                                         Planted{Defect::EndsTwice, Check::OneEnding},
                                         Planted{Defect::TriesForever, Check::Ends, 8}),
                         [](const testing::TestParamInfo<Planted>& one) {
                           std::string name{to_string(one.param.defect)};
                           std::erase(name, '_');
                           return name;
                         });

}  // namespace
}  // namespace perigee::sim
