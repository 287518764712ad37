#include "engine/llama/load_meter.h"

#include <algorithm>

namespace perigee::llama {
namespace {

constexpr double kWeightMin = 0.03;  // an odd step fades within about a hundred

void blend(double& average, double value, double weight) {
  average = average == 0 ? value : average + weight * (value - average);
}

}  // namespace

void LoadMeter::add_step(const Work& decode, const Work& prefill) {
  const double step_ms = to_ms(decode.time + prefill.time);
  if (step_ms <= 0) return;
  const double weight = std::clamp(step_ms / to_ms(kMemory), kWeightMin, 0.5);
  if (decode.tokens > 0) blend(decode_ms_, step_ms, weight);
  if (prefill.tokens >= kPrefillTokensMin && prefill.time > Duration::zero()) {
    blend(prefill_rate_, prefill.tokens / to_seconds(prefill.time), weight);
  }
}

}  // namespace perigee::llama
