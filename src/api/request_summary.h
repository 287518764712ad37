// RequestSummary: the little a gateway must know of an OpenAI request body, read in one pass over
// the bytes without building a document. The body itself travels on unchanged: unknown fields pass
// through to the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/prefix_hasher.h"
#include "base/id.h"
#include "base/result.h"
#include "core/attributes.h"
#include "core/inference.h"

namespace perigee::api {

struct RequestSummary {
  Operation operation = Operation::Chat;
  ModelId model;
  bool stream = false;
  bool include_usage = false;
  std::uint32_t n = 1;
  std::uint32_t choices = 1;  // answers: n of each prompt; 1 of embeddings
  // Estimate: prompt bytes / 4 and 4 per message; token ids are counted; tools and tool calls by
  // their size, and so are images, up to kImageTokensMax each.
  std::uint32_t prompt_tokens = 0;
  std::optional<std::uint32_t> output_tokens_max;  // max_completion_tokens, else max_tokens
  std::optional<ServiceClass> service_class;  // from service_tier: priority and fast = realtime,
                                              // flex = batch, default = standard; auto and
                                              // scale = none
  // Of the engine: embeddings; images in a prompt; tools (unless tool_choice is none); answers
  // bound to a response_format, grammar or guided_* field.
  Capabilities needs = 0;
  std::string session;                       // prompt_cache_key, else empty
  std::vector<std::uint64_t> prefix_blocks;  // chained hashes of the prompt text (see below)
  BodySpan model_span;                       // of the value, quotes included
  BodySpan stream_options_span;              // of the value
  BodySpan resume_span;  // of `perigee_resume`, which only a site may send; not read
};

inline constexpr std::uint32_t kImageTokensMax = 1024;

struct SummaryLimits {
  std::size_t depth_max = 64;
  std::size_t messages_max = 4096;  // messages of a chat; prompts or inputs of a batch
  std::uint32_t n_max = 128;
  std::size_t prefix_blocks_max = 512;
};

// Reads and validates what Perigee itself needs: types and ranges of model, messages/prompt/input,
// stream, stream_options, n, max_tokens, max_completion_tokens, service_tier, prompt_cache_key; and
// that the whole body is one JSON object in UTF-8, none of these fields given twice (a second
// reader might take the other one). An InvalidArgument names the field in `param` as OpenAI does
// ("messages[0].role"). `body` must be readable for 64 bytes past its end, whatever stands there.
// Uses a parser kept per thread: no allocation for a body of usual size.
//
// `salt` separates tenants: prefix_blocks hash roles and contents in order (api/prefix_hasher.h);
// tool calls and image references count as text, other fields of a message do not.
Result<RequestSummary> summarize(Operation operation, std::string_view body, std::string_view salt,
                                 const SummaryLimits& limits);

}  // namespace perigee::api
