// EngineProfile: how fast a GPU runs a model, and how much it holds. The times are linear fits to
// measured kernel tables (data/perf/iteration_linear_fit.csv), one row per model, GPU and weights.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perigee::sim {

// One iteration over D decoding sequences that hold K thousand tokens together, and chunks of
// prompts of c thousand new tokens behind h thousand tokens already there:
//   decode  = decode_base + per_sequence * D + per_1k_kv * K              (when D > 0)
//   prefill = per_1k * sum(c) + per_1k_squared * sum((h + c)^2 - h^2)
//   time    = decode + prefill, with prefill_base instead of decode_base when D = 0: an iteration
//             reads the weights once, whatever it computes
struct EngineProfile {
  std::string name;  // "l40s/fp8/llama-3.1-8b"
  double decode_base_ms = 0;
  double decode_ms_per_sequence = 0;
  double decode_ms_per_1k_kv = 0;
  double prefill_base_ms = 0;
  double prefill_ms_per_1k = 0;
  double prefill_ms_per_1k_squared = 0;
  double overhead_ms = 5;                  // before the queue: parsing, tokenizing
  std::uint32_t batch_max = 256;           // sequences at once
  std::uint32_t batch_tokens_max = 2'048;  // new tokens per iteration
  std::uint64_t kv_tokens = 0;             // room for keys and values
  std::uint32_t queue_max = 1'024;         // requests that wait at the engine; more are refused
  double price_per_hour = 0;
  double watts = 0;
};

// Seconds of prefill at long prompts, and per token of one stream among `sequences` of `context`
// tokens.
double prefill_tokens_per_s(const EngineProfile& profile);
double decode_ms(const EngineProfile& profile, double sequences, double kv_tokens);

// `gpu` as the table names it ("l40s"), `weights` "fp8" or "bfloat16". KV room: 0.9 of the GPU's
// memory less the weights. NotFound lists what there is.
Result<EngineProfile> find_profile(std::string_view gpu, std::string_view weights,
                                   std::string_view model);

}  // namespace perigee::sim
