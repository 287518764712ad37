#include "api/usage_scan.h"

#include <algorithm>

#include "api/error_body.h"
#include "api/json_walk.h"

namespace perigee::api {
namespace {

using json::JsonWalk;
using json::Place;

constexpr std::size_t kDepthMax = 65;

Place read_usage(JsonWalk& walk, Place at, std::optional<Usage>& out) {
  if (walk.peek(at) != '{') return walk.skip(at);
  Usage usage;
  at = walk.members(at, [&](std::string_view key, Place item) {
    if (key == "prompt_tokens") return walk.read_count(item, usage.prompt_tokens);
    if (key == "completion_tokens") return walk.read_count(item, usage.completion_tokens);
    if (key != "prompt_tokens_details" || walk.peek(item) != '{') return walk.skip(item);
    return walk.members(item, [&](std::string_view detail, Place count) {
      return detail == "cached_tokens" ? walk.read_count(count, usage.cached_tokens)
                                       : walk.skip(count);
    });
  });
  usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
  out = usage;
  return at;
}

// Whether a text, a list or an object has anything in it.
Place read_presence(JsonWalk& walk, Place at, bool& present) {
  const char type = walk.peek(at);
  if (type == '"') {
    std::string_view text;
    at = walk.read_text(at, text);
    present = present || !text.empty();
    return at;
  }
  const auto found = [&](Place item) {
    present = true;
    return walk.skip(item);
  };
  if (type == '[') return walk.items(at, found);
  if (type != '{') return walk.skip(at);
  return walk.members(at, [&](std::string_view /*key*/, Place item) { return found(item); });
}

Place read_delta(JsonWalk& walk, Place at, bool& present) {
  if (walk.peek(at) != '{') return walk.skip(at);
  return walk.members(at, [&](std::string_view key, Place item) {
    return key == "role" ? walk.skip(item) : read_presence(walk, item, present);
  });
}

// Tokens by `logprobs.content` (chat) or `logprobs.tokens` (completions).
Place read_logprobs(JsonWalk& walk, Place at, std::uint32_t& tokens) {
  if (walk.peek(at) != '{') return walk.skip(at);
  return walk.members(at, [&](std::string_view key, Place item) {
    if ((key != "content" && key != "tokens") || walk.peek(item) != '[') return walk.skip(item);
    return walk.items(item, [&](Place token) {
      ++tokens;
      return walk.skip(token);
    });
  });
}

Place read_choice(JsonWalk& walk, Place at, std::uint32_t& tokens) {
  if (walk.peek(at) != '{') return walk.skip(at);
  bool present = false;
  std::uint32_t counted = 0;
  at = walk.members(at, [&](std::string_view key, Place item) {
    if (key == "delta") return read_delta(walk, item, present);
    if (key == "text") return read_presence(walk, item, present);
    if (key == "logprobs") return read_logprobs(walk, item, counted);
    return walk.skip(item);
  });
  tokens += counted > 0 ? counted : (present ? 1 : 0);
  return at;
}

Place read_choices(JsonWalk& walk, Place at, ChunkFacts& facts, bool& empty) {
  if (walk.peek(at) != '[') return walk.skip(at);
  empty = true;
  return walk.items(at, [&](Place choice) {
    empty = false;
    return read_choice(walk, choice, facts.tokens);
  });
}

}  // namespace

std::optional<ChunkFacts> scan_chunk(std::string_view json) {
  JsonWalk walk{json, kDepthMax};
  ChunkFacts facts;
  bool empty = false;
  bool failed = false;
  const Place end = walk.members(walk.begin(), [&](std::string_view key, Place item) {
    if (key == "usage") return read_usage(walk, item, facts.usage);
    if (key == "choices") return read_choices(walk, item, facts, empty);
    if (key == "error") failed = failed || walk.peek(item) != 'n';
    if (key != "object" || walk.peek(item) != '"') return walk.skip(item);
    std::string_view kind;
    item = walk.read_text(item, kind);
    failed = failed || kind == "error";
    return item;
  });
  if (!walk.ends(end)) return std::nullopt;
  facts.usage_only = empty && facts.usage.has_value();
  if (failed) facts.error = parse_error_event(json);
  return facts;
}

std::optional<Usage> scan_answer_usage(std::string_view json) {
  JsonWalk walk{json, kDepthMax};
  std::optional<Usage> usage;
  const Place end = walk.members(walk.begin(), [&](std::string_view key, Place item) {
    return key == "usage" ? read_usage(walk, item, usage) : walk.skip(item);
  });
  if (!walk.ends(end)) return std::nullopt;
  return usage.value_or(Usage{});
}

}  // namespace perigee::api
