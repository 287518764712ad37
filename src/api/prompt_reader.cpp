#include "api/prompt_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace perigee::api {
namespace {

using json::Field;
using json::ondemand::json_type;

constexpr std::size_t kBytesPerToken = 4;
constexpr std::uint64_t kTokensPerMessage = 4;
constexpr std::size_t kRoleBytesMax = 64;
constexpr std::int64_t kTokenIdMax = std::numeric_limits<std::int32_t>::max();
// Depth already used where a value of a message, or of a content part, stands.
constexpr std::size_t kMessageDepth = 3;
constexpr std::size_t kPartDepth = 5;

std::size_t left(std::size_t depth_max, std::size_t used) {
  return depth_max > used ? depth_max - used : 0;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

Error empty_array(const Field& field) {
  return json::invalid(field,
                       "empty array. Expected an array with minimum length 1, but got an empty "
                       "array instead.");
}

Error too_long(const Field& field, std::size_t max) {
  return json::invalid(
      field, fmt::format("array too long. Expected an array with maximum length {}.", max));
}

Error missing(const Field& field) {
  std::string name = field.str();
  std::string message = fmt::format("Missing required parameter: '{}'.", name);
  return Error{Code::InvalidArgument, std::move(message), std::move(name)};
}

}  // namespace

const char* value_end(json::ondemand::document& document, const char* begin) {
  const char* end = nullptr;
  if (document.current_location().get(end) || end <= begin) return nullptr;
  while (end > begin + 1 && is_space(end[-1])) --end;
  return end;
}

std::uint32_t PromptReader::tokens() const {
  const std::uint64_t tokens = tokens_ + (bytes_ + kBytesPerToken - 1) / kBytesPerToken;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(tokens, 1, std::numeric_limits<std::uint32_t>::max()));
}

void PromptReader::add_text(std::string_view text) {
  bytes_ += text.size();
  hasher_.add(text);
  hasher_.add(std::string_view{"\0", 1});  // "ab" + "c" is not "a" + "bc"
}

Result<> PromptReader::read_messages(json::ondemand::value value,
                                     json::ondemand::document& document) {
  PERIGEE_TRY(type, json::type_of(value));
  if (type != json_type::array) return json::wrong_type({"messages"}, "an array of objects", type);
  json::ondemand::array array;
  if (const auto code = value.get_array().get(array)) return json::malformed(code);
  std::int64_t count = 0;
  for (auto element : array) {
    json::ondemand::value message;
    if (const auto code = element.get(message)) return json::malformed(code);
    if (static_cast<std::size_t>(count) >= limits_.messages_max) {
      return too_long({"messages"}, limits_.messages_max);
    }
    PERIGEE_CHECK(read_message(message, Field{"messages", count}, document));
    ++count;
  }
  if (count == 0) return empty_array({"messages"});
  tokens_ += static_cast<std::uint64_t>(count) * kTokensPerMessage;
  return {};
}

Result<> PromptReader::read_message(json::ondemand::value value, Field field,
                                    json::ondemand::document& document) {
  PERIGEE_TRY(type, json::type_of(value));
  if (type != json_type::object) return json::wrong_type(field, "an object", type);
  json::ondemand::object object;
  if (const auto code = value.get_object().get(object)) return json::malformed(code);
  bool has_role = false;
  bool has_content = false;
  const std::size_t depth_left = left(limits_.depth_max, kMessageDepth);
  for (auto member : object) {
    std::string_view key;
    json::ondemand::value item;
    if (const auto code = member.unescaped_key().get(key)) return json::malformed(code);
    if (const auto code = member.value().get(item)) return json::malformed(code);
    field.member = key;
    if (key == "role") {
      if (std::exchange(has_role, true)) return json::duplicate(field);
      PERIGEE_TRY(role, json::read_string(item, field));
      if (role.empty() || role.size() > kRoleBytesMax) {
        return json::invalid(field,
                             "use one of 'system', 'developer', 'user', 'assistant', 'tool'.");
      }
      add_text(role);
    } else if (key == "content") {
      if (std::exchange(has_content, true)) return json::duplicate(field);
      PERIGEE_CHECK(read_content(item, field, document));
    } else if (key == "tool_calls") {
      PERIGEE_CHECK(read_raw(item, depth_left, std::numeric_limits<std::size_t>::max(), document));
    } else {
      PERIGEE_CHECK(json::check_value(item, depth_left));
    }
  }
  field.member = "role";
  if (!has_role) return missing(field);
  return {};
}

Result<> PromptReader::read_content(json::ondemand::value value, const Field& field,
                                    json::ondemand::document& document) {
  PERIGEE_TRY(type, json::type_of(value));
  if (type == json_type::string) {
    PERIGEE_TRY(text, json::read_string(value, field));
    add_text(text);
    return {};
  }
  if (type == json_type::null) return json::check_value(value, 0);  // beside tool calls
  if (type != json_type::array) {
    return json::wrong_type(field, "one of a string or array of objects", type);
  }
  json::ondemand::array array;
  if (const auto code = value.get_array().get(array)) return json::malformed(code);
  Field part_field = field;
  part_field.part = 0;
  for (auto element : array) {
    json::ondemand::value part;
    if (const auto code = element.get(part)) return json::malformed(code);
    PERIGEE_CHECK(read_part(part, part_field, document));
    ++part_field.part;
  }
  return {};
}

Result<> PromptReader::read_part(json::ondemand::value value, Field field,
                                 json::ondemand::document& document) {
  PERIGEE_TRY(type, json::type_of(value));
  if (type != json_type::object) return json::wrong_type(field, "an object", type);
  json::ondemand::object object;
  if (const auto code = value.get_object().get(object)) return json::malformed(code);
  const std::size_t depth_left = left(limits_.depth_max, kPartDepth);
  bool has_type = false;
  bool has_text = false;
  for (auto member : object) {
    std::string_view key;
    json::ondemand::value item;
    if (const auto code = member.unescaped_key().get(key)) return json::malformed(code);
    if (const auto code = member.value().get(item)) return json::malformed(code);
    field.part_member = key;
    if (key == "type") {
      if (std::exchange(has_type, true)) return json::duplicate(field);
      PERIGEE_CHECK(json::read_string(item, field));
    } else if (key == "text") {
      if (std::exchange(has_text, true)) return json::duplicate(field);
      PERIGEE_TRY(text, json::read_string(item, field));
      add_text(text);
    } else {
      if (key == "image_url") has_images_ = true;
      PERIGEE_CHECK(read_raw(item, depth_left, kImageTokensMax, document));
    }
  }
  field.part_member = "type";
  if (!has_type) return missing(field);
  return {};
}

Result<> PromptReader::read_raw(json::ondemand::value value, std::size_t depth_left,
                                std::size_t tokens_max, json::ondemand::document& document) {
  const char* begin = value_begin(value);
  PERIGEE_CHECK(json::check_value(value, depth_left));
  const char* end = value_end(document, begin);
  if (end == nullptr) return json::malformed(simdjson::TAPE_ERROR);
  const std::string_view raw{begin, static_cast<std::size_t>(end - begin)};
  tokens_ += std::min(raw.size() / kBytesPerToken, tokens_max);
  hasher_.add(raw);
  return {};
}

Result<> PromptReader::read_prompt(json::ondemand::value value, std::string_view name) {
  PERIGEE_TRY(type, json::type_of(value));
  if (type == json_type::string) {
    PERIGEE_TRY(text, json::read_string(value, {name}));
    add_text(text);
    return {};
  }
  if (type != json_type::array) {
    return json::wrong_type({name}, "a string, an array of strings or an array of token ids", type);
  }
  json::ondemand::array array;
  if (const auto code = value.get_array().get(array)) return json::malformed(code);
  Field field{name, 0};
  json_type expected = json_type::null;
  for (auto element : array) {
    json::ondemand::value item;
    if (const auto code = element.get(item)) return json::malformed(code);
    if (field.index == 0) {
      PERIGEE_TRY(first, json::type_of(item));
      expected = first;
    }
    const bool ids = expected == json_type::number;
    if (!ids && static_cast<std::size_t>(field.index) >= limits_.messages_max) {
      return too_long({name}, limits_.messages_max);
    }
    PERIGEE_CHECK(read_prompt_item(item, field, expected));
    ++field.index;
  }
  if (field.index == 0) return empty_array({name});
  if (expected != json_type::number) prompts_ = static_cast<std::uint32_t>(field.index);
  return {};
}

Result<> PromptReader::read_prompt_item(json::ondemand::value value, const Field& field,
                                        json_type expected) {
  if (expected == json_type::string) {
    PERIGEE_TRY(text, json::read_string(value, field));
    add_text(text);
    return {};
  }
  if (expected == json_type::number) return read_token_id(value, field);
  PERIGEE_TRY(type, json::type_of(value));
  if (type != json_type::array) {
    return json::wrong_type(field, "a string, a token id or an array of token ids", type);
  }
  json::ondemand::array array;
  if (const auto code = value.get_array().get(array)) return json::malformed(code);
  Field id_field = field;
  id_field.part = 0;
  for (auto element : array) {
    json::ondemand::value item;
    if (const auto code = element.get(item)) return json::malformed(code);
    PERIGEE_CHECK(read_token_id(item, id_field));
    ++id_field.part;
  }
  if (id_field.part == 0) return empty_array(field);
  return {};
}

Result<> PromptReader::read_token_id(json::ondemand::value value, const Field& field) {
  PERIGEE_TRY(id, json::read_integer(value, field, 0, kTokenIdMax));
  const auto bits = static_cast<std::uint32_t>(id);
  const char bytes[4] = {static_cast<char>(bits & 255), static_cast<char>((bits >> 8) & 255),
                         static_cast<char>((bits >> 16) & 255), static_cast<char>(bits >> 24)};
  hasher_.add({bytes, sizeof bytes});
  ++tokens_;
  return {};
}

}  // namespace perigee::api
