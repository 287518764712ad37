// What Perigee must know of an external engine's answer: usage, tokens, errors. The JSON itself is
// relayed as it is. Tolerant of extra and odd fields, not of damaged JSON: every byte is checked,
// in one pass without a copy. Of a field given twice the last one that makes sense counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "core/inference.h"

namespace perigee::api {

// One chunk of a stream.
struct ChunkFacts {
  std::uint32_t tokens = 0;    // completion tokens in it: as its logprobs tell, else 1 per choice
                               // that carries text, reasoning or a tool call
  std::optional<Usage> usage;  // when the chunk has it (the last one, or each)
  bool usage_only = false;     // `choices` is empty and there is usage: the chunk of include_usage
  std::optional<Error> error;  // {"error": ...}, or vLLM's {"object":"error", ...}
};
// Nullopt when `json` is not a JSON object.
std::optional<ChunkFacts> scan_chunk(std::string_view json);

// The usage of a whole answer; zeros when it has none. Nullopt when `json` is not a JSON object.
std::optional<Usage> scan_answer_usage(std::string_view json);

}  // namespace perigee::api
