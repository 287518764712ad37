#include "comparison.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace perigee::bench {
namespace {

const Roles kRoles{.subject = "own", .bound = "bound", .aside = {"own_too"}};

PolicySamples samples(const char* policy, std::vector<double> goodput) {
  PolicySamples all{policy, {}};
  for (const double rps : goodput) all.seeds.push_back({.goodput_rps = rps, .attainment = 0.9});
  return all;
}

TEST(Comparison, TheIntervalIsStudents) {
  const std::array<double, 3> values{9, 10, 11};
  const Mean mean = mean_of(values);
  EXPECT_DOUBLE_EQ(mean.mean, 10);
  EXPECT_NEAR(mean.ci95, 4.303 / std::sqrt(3.0), 1e-12);
}

TEST(Comparison, OneSeedHasNoInterval) {
  EXPECT_TRUE(std::isinf(mean_of(std::array<double, 1>{5}).ci95));
  const std::vector<PolicySamples> all{samples("own", {11}), samples("a", {10})};
  EXPECT_EQ(standing_of(all, kRoles).place, Place::Unknown);
}

TEST(Comparison, NoiseThatAllShareDoesNotHideALead) {
  const std::vector<PolicySamples> all{samples("own", {10.1, 20.2, 30.3, 15.2}),
                                       samples("a", {10, 20, 30, 15}), samples("b", {1, 2, 3, 4})};
  const Standing standing = standing_of(all, kRoles);
  EXPECT_EQ(standing.best, "a");
  EXPECT_EQ(standing.place, Place::First);
  EXPECT_NEAR(standing.lead.mean, 0.011, 0.002);
}

TEST(Comparison, AMixedLeadIsATie) {
  const std::vector<PolicySamples> all{samples("own", {11, 9, 10.5, 9.6}),
                                       samples("a", {10, 10, 10, 10})};
  EXPECT_EQ(standing_of(all, kRoles).place, Place::Tied);
}

TEST(Comparison, ASeedWithNextToNothingDoesNotRuleTheRatio) {
  const Mean ratio =
      ratio_of(std::array<double, 3>{10, 10, 10}, std::array<double, 3>{10, 9.9, 0.1});
  EXPECT_NEAR(ratio.mean, 1.5, 1e-12);
}

TEST(Comparison, NeitherTheBoundNorWhatStandsAsideIsABaseline) {
  const std::vector<PolicySamples> all{samples("own", {9, 9}), samples("a", {10, 10}),
                                       samples("bound", {12, 12}), samples("own_too", {11, 11})};
  const Standing standing = standing_of(all, kRoles);
  EXPECT_EQ(standing.best, "a");
  EXPECT_EQ(standing.place, Place::Behind);
  ASSERT_TRUE(standing.has_bound);
  EXPECT_DOUBLE_EQ(standing.to_bound.mean, 0.75);
}

}  // namespace
}  // namespace perigee::bench
