// RequestSummary: the little a gateway must know of an OpenAI request body, read in one pass over
// the bytes without building a document. The body itself travels on unchanged: unknown fields pass
// through to the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/id.h"
#include "core/inference.h"

namespace perigee::api {

struct RequestSummary {
  Operation operation = Operation::Chat;
  ModelId model;
  bool stream = false;
  bool include_usage = false;
  std::uint32_t n = 1;
  std::uint32_t prompt_tokens = 0;          // estimate: prompt bytes / 4, images and tools counted by size
  std::optional<std::uint32_t> output_tokens_max;  // max_completion_tokens, else max_tokens
  std::optional<ServiceClass> service_class;       // from service_tier: priority and fast = realtime,
                                                   // flex = batch, default = standard; auto = none
  std::string session;                       // prompt_cache_key, else empty
  std::vector<std::uint64_t> prefix_blocks;  // chained hashes of the prompt text (see below)
  BodySpan model_span;                           // of the value, quotes included
  BodySpan stream_options_span;                  // of the value
};

struct SummaryLimits {
  std::size_t depth_max = 64;
  std::size_t messages_max = 4096;
  std::uint32_t n_max = 128;
  std::size_t prefix_blocks_max = 512;
};

// Reads and validates what Perigee itself needs: types and ranges of model, messages/prompt/input,
// stream, stream_options, n, max_tokens, max_completion_tokens, service_tier, prompt_cache_key. An
// InvalidArgument names the field in `param` as OpenAI does ("messages[0].role"). `body` must be
// readable for 64 bytes past its end. `salt` separates tenants: prefix_blocks are a chain of 64-bit
// XXH3 hashes over kPrefixBlockBytes bytes of prompt text each (roles and contents in order), each
// hash seeded with the one before and the first with a hash of the salt, so that equal prompts
// of two tenants share no hash.
inline constexpr std::size_t kPrefixBlockBytes = 256;
Result<RequestSummary> summarize(Operation operation, std::string_view body, std::string_view salt,
                                 const SummaryLimits& limits);

}  // namespace perigee::api
