#include "engine/llama/load_meter.h"

#include <gtest/gtest.h>

namespace perigee::llama {
namespace {

TEST(LoadMeter, TakesPromptsByTheirOwnTimeAndAnswersByThatOfTheStep) {
  LoadMeter meter;
  EXPECT_EQ(meter.prefill_tokens_per_s(), 0);
  EXPECT_EQ(meter.decode_ms(), 0);
  meter.add_step({milliseconds{5}, 4}, {milliseconds{20}, 64});
  EXPECT_DOUBLE_EQ(meter.prefill_tokens_per_s(), 3200);
  EXPECT_DOUBLE_EQ(meter.decode_ms(), 25);
}

TEST(LoadMeter, LearnsNothingOfWhatAStepDidNotDo) {
  LoadMeter meter;
  meter.add_step({milliseconds{5}, 4}, {milliseconds{20}, 64});
  meter.add_step({}, {});
  meter.add_step({}, {milliseconds{1}, 7});  // too few to say anything
  EXPECT_DOUBLE_EQ(meter.prefill_tokens_per_s(), 3200);
  meter.add_step({}, {milliseconds{10}, 64});
  EXPECT_DOUBLE_EQ(meter.decode_ms(), 25);
  EXPECT_GT(meter.prefill_tokens_per_s(), 3200);
  EXPECT_LT(meter.prefill_tokens_per_s(), 6400);
  const double rate = meter.prefill_tokens_per_s();
  meter.add_step({milliseconds{5}, 4}, {});
  EXPECT_DOUBLE_EQ(meter.prefill_tokens_per_s(), rate);
  EXPECT_LT(meter.decode_ms(), 25);
}

}  // namespace
}  // namespace perigee::llama
