#include "engine/llama/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace perigee::llama {
namespace {

const std::vector<float> kLogits = {1.0F, 3.0F, 2.0F, -4.0F, 0.5F};

SamplingOptions greedy() {
  SamplingOptions options;
  options.temperature = 0;
  return options;
}

TEST(Sampler, TemperatureZeroTakesTheLikeliest) {
  Sampler sampler{greedy(), 0};
  EXPECT_EQ(sampler.sample(kLogits, 0, nullptr), 1);
}

TEST(Sampler, BiasAndPenaltiesMoveTheChoice) {
  SamplingOptions options = greedy();
  options.logit_bias = {{1, -100.0F}};
  Sampler biased{options, 0};
  EXPECT_EQ(biased.sample(kLogits, 0, nullptr), 2);

  options = greedy();
  options.frequency_penalty = 0.6;
  Sampler penalised{options, 0};
  penalised.count_answer(1);
  EXPECT_EQ(penalised.sample(kLogits, 1, nullptr), 1);
  penalised.count_answer(1);
  EXPECT_EQ(penalised.sample(kLogits, 2, nullptr), 2);

  options = greedy();
  options.repetition_penalty = 2;
  Sampler repeated{options, 0};
  const std::vector<Token> prompt = {1};
  repeated.count_prompt(prompt);
  EXPECT_EQ(repeated.sample(kLogits, 0, nullptr), 2);
}

TEST(Sampler, DrawsInProportionToTheSoftmax) {
  SamplingOptions options;
  options.temperature = 1;
  std::vector<int> counts(kLogits.size());
  constexpr int kDraws = 20000;
  Sampler sampler{options, 0};
  for (int i = 0; i < kDraws; ++i) {
    ++counts[static_cast<std::size_t>(
        sampler.sample(kLogits, static_cast<std::uint64_t>(i), nullptr))];
  }
  double total = 0;
  for (const float logit : kLogits) total += std::exp(double{logit});
  for (std::size_t i = 0; i < kLogits.size(); ++i) {
    EXPECT_NEAR(counts[i] / double{kDraws}, std::exp(double{kLogits[i]}) / total, 0.012);
  }
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  const auto drawn = [](SamplingOptions options) {
    options.temperature = 1;
    std::set<Token> tokens;
    Sampler sampler{options, 0};
    for (std::uint64_t i = 0; i < 2000; ++i) tokens.insert(sampler.sample(kLogits, i, nullptr));
    return tokens;
  };
  SamplingOptions options;
  options.top_k = 2;
  EXPECT_EQ(drawn(options), (std::set<Token>{1, 2}));
  options = {};
  options.top_p = 0.7;  // 0.62 and 0.23 of the mass
  EXPECT_EQ(drawn(options), (std::set<Token>{1, 2}));
  options = {};
  options.top_p = 0;
  EXPECT_EQ(drawn(options), (std::set<Token>{1}));
  options = {};
  options.min_p = 0.3;  // of 0.62
  EXPECT_EQ(drawn(options), (std::set<Token>{1, 2}));
}

TEST(Sampler, ADrawDependsOnSeedChoiceAndPositionOnly) {
  SamplingOptions options;
  options.seed = 7;
  Sampler one{options, 2};
  Sampler other{options, 2};
  std::vector<Token> forward;
  for (std::uint64_t p = 0; p < 50; ++p) forward.push_back(one.sample(kLogits, p, nullptr));
  for (std::uint64_t p = 50; p-- > 0;) EXPECT_EQ(other.sample(kLogits, p, nullptr), forward[p]);
  EXPECT_NE(Sampler::noise(7, 2, 5, 1), Sampler::noise(8, 2, 5, 1));
  EXPECT_NE(Sampler::noise(7, 2, 5, 1), Sampler::noise(7, 3, 5, 1));
  EXPECT_NE(Sampler::noise(7, 2, 5, 1), Sampler::noise(7, 2, 6, 1));
}

TEST(Sampler, SmallDifferencesOfLogitsChangeADrawAtNearTiesOnly) {
  SamplingOptions options;
  Sampler sampler{options, 0};
  std::vector<float> near = kLogits;
  for (std::size_t i = 0; i < near.size(); ++i) near[i] += i % 2 == 0 ? 0.001F : -0.001F;
  int changed = 0;
  for (std::uint64_t p = 0; p < 2000; ++p) {
    changed += sampler.sample(kLogits, p, nullptr) != sampler.sample(near, p, nullptr) ? 1 : 0;
  }
  EXPECT_LE(changed, 10);
}

TEST(Sampler, LogprobsAddUpToOne) {
  const TokenRecord record = logprobs_of(kLogits, 2, 5);
  double total = 0;
  for (const TokenLogprob& one : record.top) total += std::exp(double{one.logprob});
  EXPECT_NEAR(total, 1, 1e-5);
  EXPECT_EQ(record.top.front().token, 1);
  EXPECT_FLOAT_EQ(record.logprob, record.top[1].logprob);
}

}  // namespace
}  // namespace perigee::llama
