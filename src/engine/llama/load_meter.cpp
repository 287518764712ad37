#include "engine/llama/load_meter.h"

#include <algorithm>

namespace perigee::llama {
namespace {

constexpr double kWeightMin = 0.03;  // an odd step fades within about a hundred

void blend(double& average, double value, double weight) {
  average = average == 0 ? value : average + weight * (value - average);
}

}  // namespace

double LoadMeter::decode_step_ms(std::uint32_t decode_tokens) const {
  return decode_token_ms_ * decode_tokens;
}

void LoadMeter::add_step(Duration duration, std::uint32_t decode_tokens,
                         std::uint32_t prefill_tokens) {
  const double step_ms = to_ms(duration);
  if (step_ms <= 0) return;
  const double weight = std::clamp(step_ms / to_ms(kMemory), kWeightMin, 0.5);
  if (decode_tokens > 0) {
    blend(decode_ms_, step_ms, weight);
    if (prefill_tokens == 0) blend(decode_token_ms_, step_ms / decode_tokens, weight);
  }
  if (prefill_tokens >= kPrefillTokensMin) {
    const double prefill_ms = std::max(step_ms - decode_step_ms(decode_tokens), step_ms * 0.1);
    blend(prefill_rate_, prefill_tokens / prefill_ms * 1000, weight);
  }
}

}  // namespace perigee::llama
