#include "api/usage_scan.h"

#include <algorithm>

#include "api/error_body.h"
#include "api/json_walk.h"

namespace perigee::api {
namespace {

using json::JsonWalk;
using json::Place;

constexpr std::size_t kDepthMax = 65;

Place read_usage(JsonWalk& walk, Place at, std::optional<Usage>& out, ChunkPlaces& places) {
  if (walk.peek(at) != '{') return walk.skip(at);
  Usage usage;
  const auto count = [&](Place item, std::uint32_t& value, BodySpan& span) {
    const Place end = walk.read_count(item, value);
    if (end != nullptr) span = walk.span(item, end);
    return end;
  };
  std::uint32_t total = 0;
  at = walk.members(at, [&](std::string_view key, Place item) {
    if (key == "prompt_tokens") return count(item, usage.prompt_tokens, places.prompt_tokens);
    if (key == "completion_tokens") {
      return count(item, usage.completion_tokens, places.completion_tokens);
    }
    if (key == "total_tokens") return count(item, total, places.total_tokens);
    if (key != "prompt_tokens_details" || walk.peek(item) != '{') return walk.skip(item);
    return walk.members(item, [&](std::string_view detail, Place value) {
      return detail == "cached_tokens" ? count(value, usage.cached_tokens, places.cached_tokens)
                                       : walk.skip(value);
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
    at = walk.read_raw(at, text);
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

class ChoicesReader {
 public:
  ChoicesReader(JsonWalk& walk, ChunkFacts& facts, ChunkPlaces& places)
      : walk_(walk), facts_(facts), places_(places) {}

  Place read(Place at) {
    if (walk_.peek(at) != '[') return walk_.skip(at);
    choices_ = 0;
    return walk_.items(at, [&](Place choice) {
      ++choices_;
      return read_choice(choice);
    });
  }
  bool empty() const { return choices_ == 0; }
  // Once the whole chunk was read.
  void finish() {
    if (choices_ < 0 || choices_ > 1 || other_ || texts_ > 1) return;
    facts_.text = text_;
    facts_.ends = ends_;
  }

 private:
  Place read_choice(Place at) {
    if (walk_.peek(at) != '{') {
      other_ = true;
      return walk_.skip(at);
    }
    bool present = false;
    std::uint32_t counted = 0;
    std::uint32_t index = 0;
    at = walk_.members(at, [&](std::string_view key, Place item) {
      if (key == "delta") return read_delta(item, present);
      if (key == "text") return read_text(item, present, places_.text);
      if (key == "logprobs") return read_logprobs(walk_, item, counted);
      if (key == "index") return walk_.read_count(item, index);
      if (key == "finish_reason") ends_ = walk_.peek(item) == '"';
      return walk_.skip(item);
    });
    other_ = other_ || index != 0;
    facts_.tokens += counted > 0 ? counted : (present ? 1 : 0);
    return at;
  }

  Place read_delta(Place at, bool& present) {
    if (walk_.peek(at) != '{') return walk_.skip(at);
    const Place begin = at;
    at = walk_.members(at, [&](std::string_view key, Place item) {
      BodySpan content;
      if (key == "content") return read_text(item, present, content);
      if (key == "role") {
        places_.role = true;
        return walk_.skip(item);
      }
      bool found = false;
      const Place end = read_presence(walk_, item, found);
      present = present || found;
      other_ = other_ || found;
      return end;
    });
    if (at != nullptr) places_.delta = walk_.span(begin, at);
    return at;
  }

  Place read_text(Place at, bool& present, BodySpan& span) {
    const Place begin = at;
    if (walk_.peek(at) == '"') {
      at = walk_.read_raw(at, text_);
      present = present || !text_.empty();
      ++texts_;
    } else {
      bool found = false;
      at = read_presence(walk_, at, found);
      present = present || found;
      other_ = other_ || found;
    }
    if (at != nullptr) span = walk_.span(begin, at);
    return at;
  }

  JsonWalk& walk_;
  ChunkFacts& facts_;
  ChunkPlaces& places_;
  int choices_ = -1;  // there are none
  int texts_ = 0;
  bool other_ = false;  // there is more than text of one choice
  bool ends_ = false;
  std::string_view text_;
};

}  // namespace

std::optional<ChunkFacts> scan_chunk(std::string_view json, ChunkPlaces* places) {
  JsonWalk walk{json, kDepthMax};
  ChunkFacts facts;
  ChunkPlaces unasked;
  ChunkPlaces& at = places != nullptr ? *places : unasked;
  ChoicesReader choices{walk, facts, at};
  bool failed = false;
  const Place end = walk.members(walk.begin(), [&](std::string_view key, Place item) {
    if (key == "usage") return read_usage(walk, item, facts.usage, at);
    if (key == "choices") return choices.read(item);
    if (key == "error") failed = failed || walk.peek(item) != 'n';
    if (key == "object" && walk.peek(item) == '"') {
      std::string_view kind;
      item = walk.read_text(item, kind);
      failed = failed || kind == "error";
      return item;
    }
    const Place behind = walk.skip(item);
    if (behind != nullptr && key == "id") at.id = walk.span(item, behind);
    if (behind != nullptr && key == "created") at.created = walk.span(item, behind);
    return behind;
  });
  if (!walk.ends(end)) return std::nullopt;
  choices.finish();
  facts.usage_only = choices.empty() && facts.usage.has_value();
  if (failed) facts.error = parse_error_event(json);
  return facts;
}

std::optional<Usage> scan_answer_usage(std::string_view json) {
  JsonWalk walk{json, kDepthMax};
  std::optional<Usage> usage;
  ChunkPlaces unasked;
  const Place end = walk.members(walk.begin(), [&](std::string_view key, Place item) {
    return key == "usage" ? read_usage(walk, item, usage, unasked) : walk.skip(item);
  });
  if (!walk.ends(end)) return std::nullopt;
  return usage.value_or(Usage{});
}

}  // namespace perigee::api
