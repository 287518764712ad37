// LoadMeter: recent speed of the engine, from the steps it made.
#pragma once

#include <cstdint>

#include "base/instant.h"

namespace perigee::llama {

// Averages that forget: a step weighs by its share of kMemory, but at least by 3 %, so old ones
// fade after a second of work or a hundred steps. Idle time changes nothing.
class LoadMeter {
 public:
  struct Work {
    Duration time{};
    std::uint32_t tokens = 0;
  };
  // One step: a token of each running stream, and pieces of prompts after it.
  void add_step(const Work& decode, const Work& prefill);
  double prefill_tokens_per_s() const { return prefill_rate_; }
  // Per token of one stream, with the pieces of prompts that it waited for; 0: not known yet.
  double decode_ms() const { return decode_ms_; }

 private:
  static constexpr Duration kMemory = seconds{1};
  static constexpr std::uint32_t kPrefillTokensMin = 8;  // fewer say nothing about the rate
  double prefill_rate_ = 0;
  double decode_ms_ = 0;
};

}  // namespace perigee::llama
