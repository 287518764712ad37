#include "core/rate_estimator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};

// Noise with mean 0 and a deviation of about `share` of `of`.
double noise(Random& random, double of, double share) {
  return (random.uniform() + random.uniform() + random.uniform() - 1.5) * 2 * share * of;
}

TEST(PrefillEstimate, BelievesThePublishedRateUntilItHears) {
  PrefillEstimate estimate;
  EXPECT_DOUBLE_EQ(estimate.at(kStart).ms_per_token, 1000 / kRateDefault_tokens_per_s);
  estimate.seed(4000);
  EXPECT_DOUBLE_EQ(estimate.at(kStart).ms_per_token, 0.25);
  EXPECT_DOUBLE_EQ(estimate.at(kStart).overhead_ms, kOverheadPrior_ms);
}

TEST(PrefillEstimate, FindsOverheadAndRateThroughNoise) {
  PrefillEstimate estimate;
  estimate.seed(1000);
  Random random{3};
  Instant now = kStart;
  for (int i = 0; i < 300; ++i) {
    const double tokens = 50 + 4000 * random.uniform();
    const double ms = 40 + 0.2 * tokens;
    estimate.observe(tokens, ms + noise(random, ms, 0.1), 0, now);
    now += milliseconds{200};
  }
  EXPECT_NEAR(estimate.at(now).ms_per_token, 0.2, 0.02);
  EXPECT_NEAR(estimate.at(now).overhead_ms, 40, 15);
}

TEST(PrefillEstimate, IsSureAfterNewsAndUnsureAgainAfterSilence) {
  PrefillEstimate estimate;
  estimate.seed(4000);
  const double before = estimate.at(kStart).variance(1000);
  for (int i = 0; i < 20; ++i) estimate.observe(500.0 + 50 * i, 130.0 + 12.5 * i, 0, kStart);
  const double informed = estimate.at(kStart).variance(1000);
  EXPECT_LT(informed, before / 20);
  const double later = estimate.at(kStart + kForgetting).variance(1000);
  EXPECT_GT(later, informed);
  EXPECT_LT(later, before);
  EXPECT_NEAR(estimate.at(kStart + 20 * kForgetting).variance(1000), before, before / 1000);
  EXPECT_NEAR(estimate.at(kStart + 20 * kForgetting).ms_per_token, 0.25, 1e-6);
}

TEST(PrefillEstimate, MovesLittleForOneOddRequestAndWhollyForARowOfThem) {
  PrefillEstimate estimate;
  estimate.seed(4000);
  for (int i = 0; i < 50; ++i) estimate.observe(1000, 255, 0, kStart);
  const auto predicted = [&] {
    const PrefillEstimate::Value value = estimate.at(kStart);
    return value.overhead_ms + 1000 * value.ms_per_token;
  };
  EXPECT_NEAR(predicted(), 255, 5);
  estimate.observe(1000, 9000, 0, kStart);
  EXPECT_NEAR(predicted(), 255, 30);
  for (int i = 0; i < 4; ++i) estimate.observe(1000, 2600, 0, kStart);
  EXPECT_NEAR(predicted(), 2600, 150);
}

TEST(PrefillEstimate, TrustsInferredTimesLess) {
  PrefillEstimate sure;
  PrefillEstimate unsure;
  sure.observe(1000, 2000, 0, kStart);
  unsure.observe(1000, 2000, 1000, kStart);
  EXPECT_GT(sure.at(kStart).ms_per_token, unsure.at(kStart).ms_per_token);
  EXPECT_LT(sure.at(kStart).variance(1000), unsure.at(kStart).variance(1000));
}

TEST(PrefillEstimate, StaysFiniteAndPositiveWhateverItIsTold) {
  PrefillEstimate estimate;
  Random random{11};
  const double odd[] = {0,
                        -1,
                        1e300,
                        std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::quiet_NaN(),
                        1e-300,
                        5,
                        1e9};
  for (int i = 0; i < 10'000; ++i) {
    estimate.seed(odd[random.below(8)]);
    estimate.observe(odd[random.below(8)], odd[random.below(8)], 0, kStart + seconds{i});
    const PrefillEstimate::Value value = estimate.at(kStart + seconds{i});
    ASSERT_TRUE(std::isfinite(value.overhead_ms) && value.overhead_ms >= 0) << i;
    ASSERT_TRUE(std::isfinite(value.ms_per_token) && value.ms_per_token > 0) << i;
    ASSERT_TRUE(std::isfinite(value.variance(1000))) << i;
  }
}

TEST(ScalarEstimate, MovesToWhatItSeesAndBackToThePriorInTime) {
  constexpr static ScalarEstimate::Options kOptions{
      .mean = 200, .deviation = 200, .noise = 200, .least = 1, .most = 1e6};
  ScalarEstimate estimate{&kOptions};
  for (int i = 0; i < 100; ++i) estimate.observe(800, kStart);
  EXPECT_NEAR(estimate.mean(kStart), 800, 20);
  EXPECT_GT(estimate.variance(kStart + kForgetting), estimate.variance(kStart));
  EXPECT_NEAR(estimate.mean(kStart + kForgetting), 200 + 600 * std::exp(-1.0), 20);
  estimate.observe(std::numeric_limits<double>::quiet_NaN(), kStart);
  EXPECT_NEAR(estimate.mean(kStart), 800, 20);
}

}  // namespace
}  // namespace perigee
