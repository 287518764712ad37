#include "api/usage_scan.h"

#include <algorithm>
#include <limits>

#include "api/error_body.h"
#include "api/json_reader.h"

namespace perigee::api {
namespace {

using json::ondemand::json_type;
using json::ondemand::value;

constexpr std::size_t kDepthMax = 64;
constexpr int kStatusOfStreamError = 502;  // where the error itself tells none
constexpr std::size_t kKeptBytes = 64 * 1024;

// A copy of `text` that simdjson may read past; one per thread, replaced by the next.
std::string_view padded_copy(std::string_view text, std::size_t& allocated) {
  thread_local std::string buffer;
  if (buffer.capacity() > kKeptBytes && text.size() < kKeptBytes) buffer = {};
  buffer.assign(text);
  buffer.append(simdjson::SIMDJSON_PADDING, ' ');
  allocated = buffer.size();
  return {buffer.data(), text.size()};
}

// Calls `on_member(key, value)` for each member; it must read the value and say whether it could.
template <class OnMember>
bool each_member(json::ondemand::object object, OnMember on_member) {
  for (auto member : object) {
    std::string_view key;
    value item;
    if (member.unescaped_key().get(key) || member.value().get(item)) return false;
    if (!on_member(key, item)) return false;
  }
  return true;
}

template <class OnItem>
bool each_item(json::ondemand::array array, OnItem on_item) {
  for (auto element : array) {
    value item;
    if (element.get(item) || !on_item(item)) return false;
  }
  return true;
}

bool skip(value item) { return static_cast<bool>(json::check_value(item, kDepthMax)); }

bool is(value& item, json_type wanted) {
  const auto type = json::type_of(item);
  return type && *type == wanted;
}

// Reads a count; another type or a senseless number is passed over.
bool read_count(value item, std::uint32_t& out) {
  if (!is(item, json_type::number)) return skip(item);
  double number = 0;
  if (item.get_double().get(number)) return false;
  if (number >= 0 && number <= std::numeric_limits<std::int32_t>::max()) {
    out = static_cast<std::uint32_t>(number);
  }
  return true;
}

bool read_usage(value item, std::optional<Usage>& out) {
  if (!is(item, json_type::object)) return skip(item);
  json::ondemand::object object;
  if (item.get_object().get(object)) return false;
  Usage usage;
  const bool whole = each_member(object, [&](std::string_view key, value member) {
    if (key == "prompt_tokens") return read_count(member, usage.prompt_tokens);
    if (key == "completion_tokens") return read_count(member, usage.completion_tokens);
    if (key != "prompt_tokens_details" || !is(member, json_type::object)) return skip(member);
    json::ondemand::object details;
    if (member.get_object().get(details)) return false;
    return each_member(details, [&](std::string_view detail, value count) {
      return detail == "cached_tokens" ? read_count(count, usage.cached_tokens) : skip(count);
    });
  });
  usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
  out = usage;
  return whole;
}

// Whether a text, a list or an object has anything in it.
bool read_presence(value item, bool& present) {
  std::string_view text;
  if (is(item, json_type::string)) {
    if (item.get_string().get(text)) return false;
    present = present || !text.empty();
    return true;
  }
  present = present || is(item, json_type::array) || is(item, json_type::object);
  return skip(item);
}

bool read_delta(value item, bool& present) {
  if (!is(item, json_type::object)) return skip(item);
  json::ondemand::object object;
  if (item.get_object().get(object)) return false;
  return each_member(object, [&](std::string_view key, value member) {
    return key == "role" ? skip(member) : read_presence(member, present);
  });
}

// Tokens by `logprobs.content` (chat) or `logprobs.tokens` (completions).
bool read_logprobs(value item, std::uint32_t& tokens) {
  if (!is(item, json_type::object)) return skip(item);
  json::ondemand::object object;
  if (item.get_object().get(object)) return false;
  return each_member(object, [&](std::string_view key, value member) {
    if ((key != "content" && key != "tokens") || !is(member, json_type::array)) return skip(member);
    json::ondemand::array array;
    if (member.get_array().get(array)) return false;
    return each_item(array, [&](value token) {
      ++tokens;
      return skip(token);
    });
  });
}

bool read_choices(value item, ChunkFacts& facts, bool& empty) {
  if (!is(item, json_type::array)) return skip(item);
  json::ondemand::array array;
  if (item.get_array().get(array)) return false;
  empty = true;
  return each_item(array, [&](value choice) {
    empty = false;
    if (!is(choice, json_type::object)) return skip(choice);
    json::ondemand::object object;
    if (choice.get_object().get(object)) return false;
    bool present = false;
    std::uint32_t counted = 0;
    const bool whole = each_member(object, [&](std::string_view key, value member) {
      if (key == "delta") return read_delta(member, present);
      if (key == "text") return read_presence(member, present);
      if (key == "logprobs") return read_logprobs(member, counted);
      return skip(member);
    });
    facts.tokens += counted > 0 ? counted : (present ? 1 : 0);
    return whole;
  });
}

bool opens(std::string_view json, json::ondemand::document& document,
           json::ondemand::object& object) {
  std::size_t allocated = 0;
  const std::string_view padded = padded_copy(json, allocated);
  return !json::thread_parser().iterate(padded.data(), padded.size(), allocated).get(document) &&
         !document.get_object().get(object);
}

bool at_end(json::ondemand::document& document) {
  return document.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

}  // namespace

std::optional<ChunkFacts> scan_chunk(std::string_view json) {
  json::ondemand::document document;
  json::ondemand::object object;
  if (!opens(json, document, object)) return std::nullopt;
  ChunkFacts facts;
  bool empty = false;
  bool failed = false;
  const bool whole = each_member(object, [&](std::string_view key, value item) {
    if (key == "usage") return read_usage(item, facts.usage);
    if (key == "choices") return read_choices(item, facts, empty);
    if (key == "error") failed = failed || !is(item, json_type::null);
    if (key == "object" && is(item, json_type::string)) {
      std::string_view kind;
      if (item.get_string().get(kind)) return false;
      failed = failed || kind == "error";
      return true;
    }
    return skip(item);
  });
  if (!whole || !at_end(document)) return std::nullopt;
  facts.usage_only = empty && facts.usage.has_value();
  if (failed) facts.error = parse_error_body(kStatusOfStreamError, json);
  return facts;
}

std::optional<Usage> scan_answer_usage(std::string_view json) {
  json::ondemand::document document;
  json::ondemand::object object;
  if (!opens(json, document, object)) return std::nullopt;
  const bool check = json.size() <= kScanBytesMax;
  std::optional<Usage> usage;
  const bool whole = each_member(object, [&](std::string_view key, value item) {
    if (key == "usage") return read_usage(item, usage);
    return !check || skip(item);
  });
  const bool ended = whole && at_end(document);
  json::release_parser();
  if (!ended) return std::nullopt;
  return usage.value_or(Usage{});
}

}  // namespace perigee::api
