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
  // What the chunk adds to the text of the first choice, as JSON writes it between quotes; empty
  // when it adds nothing (a role, the end, usage). Nullopt when it has anything else: a tool call,
  // reasoning, a refusal, sound, another choice.
  std::optional<std::string_view> text;
  bool ends = false;  // the first choice has its finish reason, if there is `text`
};
// Where the values of a chunk stand, for who changes them; size 0: absent.
struct ChunkPlaces {
  BodySpan id;
  BodySpan created;
  BodySpan delta;  // of the first choice
  BodySpan text;   // the same, of completions
  bool role = false;
  // Of the usage:
  BodySpan prompt_tokens;
  BodySpan completion_tokens;
  BodySpan total_tokens;
  BodySpan cached_tokens;
};
// Nullopt when `json` is not a JSON object.
std::optional<ChunkFacts> scan_chunk(std::string_view json, ChunkPlaces* places = nullptr);

// The usage of a whole answer; zeros when it has none. Nullopt when `json` is not a JSON object.
std::optional<Usage> scan_answer_usage(std::string_view json);

}  // namespace perigee::api
