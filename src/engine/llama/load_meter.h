// LoadMeter: recent speed of the engine, from the steps it made.
#pragma once

#include <cstdint>

#include "base/instant.h"

namespace perigee::llama {

// Averages that forget: a step weighs by its share of kMemory, but at least by 3 %, so old ones
// fade after a second of work or a hundred steps. Idle time changes nothing.
class LoadMeter {
 public:
  // One step took `duration`, fed `decode_tokens` (one per running stream) and `prefill_tokens`.
  void add_step(Duration duration, std::uint32_t decode_tokens, std::uint32_t prefill_tokens);
  double prefill_tokens_per_s() const { return prefill_rate_; }
  double decode_ms() const { return decode_ms_; }  // per token of one stream; 0: not known yet
  // What a step of so many decode tokens alone should take.
  double decode_step_ms(std::uint32_t decode_tokens) const;

 private:
  static constexpr Duration kMemory = seconds{1};
  static constexpr std::uint32_t kPrefillTokensMin = 8;  // fewer say nothing about the rate
  double prefill_rate_ = 0;
  double decode_ms_ = 0;
  double decode_token_ms_ = 0;  // of a pure decode step, per token in it
};

}  // namespace perigee::llama
