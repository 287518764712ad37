#include "api/json_reader.h"

#include <fmt/format.h>

namespace perigee::api::json {
namespace {

constexpr std::size_t kKeptCapacity = 1 << 20;  // bytes of document; the parser needs about 6 times

std::string_view name_of(ondemand::json_type type) {
  switch (type) {
    case ondemand::json_type::array: return "an array";
    case ondemand::json_type::object: return "an object";
    case ondemand::json_type::number: return "a number";
    case ondemand::json_type::string: return "a string";
    case ondemand::json_type::boolean: return "a boolean";
    case ondemand::json_type::null: return "null";
  }
  return "something else";
}

Result<> check_array(ondemand::value value, std::size_t depth_left) {
  ondemand::array array;
  if (const auto code = value.get_array().get(array)) return malformed(code);
  for (auto element : array) {
    ondemand::value item;
    if (const auto code = element.get(item)) return malformed(code);
    PERIGEE_CHECK(check_value(item, depth_left));
  }
  return {};
}

Result<> check_object(ondemand::value value, std::size_t depth_left) {
  ondemand::object object;
  if (const auto code = value.get_object().get(object)) return malformed(code);
  for (auto member : object) {
    ondemand::value item;
    std::string_view key;
    if (const auto code = member.unescaped_key().get(key)) return malformed(code);
    if (const auto code = member.value().get(item)) return malformed(code);
    PERIGEE_CHECK(check_value(item, depth_left));
  }
  return {};
}

}  // namespace

std::string Field::str() const {
  std::string out{name};
  if (index >= 0) out += fmt::format("[{}]", index);
  if (!member.empty()) out += fmt::format(".{}", member);
  if (part >= 0) out += fmt::format("[{}]", part);
  if (!part_member.empty()) out += fmt::format(".{}", part_member);
  return out;
}

ondemand::parser& thread_parser() {
  thread_local ondemand::parser parser;
  return parser;
}

void release_parser() {
  if (thread_parser().capacity() > kKeptCapacity) thread_parser() = ondemand::parser{};
}

Error malformed(simdjson::error_code code) {
  std::string_view what = "it is not valid JSON";
  if (code == simdjson::EMPTY) what = "it is empty";
  if (code == simdjson::UTF8_ERROR) what = "it is not valid UTF-8";
  if (code == simdjson::NUMBER_ERROR) what = "a number in it is malformed or out of range";
  if (code == simdjson::DEPTH_ERROR) what = "it is nested too deeply";
  if (code == simdjson::CAPACITY || code == simdjson::MEMALLOC) what = "it is too large";
  return Error{Code::InvalidArgument,
               fmt::format("We could not parse the JSON body of your request: {}. Send one JSON "
                           "object.",
                           what)};
}

Error invalid(const Field& field, std::string_view what) {
  std::string name = field.str();
  std::string message = fmt::format("Invalid '{}': {}", name, what);
  return Error{Code::InvalidArgument, std::move(message), std::move(name)};
}

Error duplicate(const Field& field) {
  return invalid(field, "it is given more than once; send it once.");
}

Error wrong_type(const Field& field, std::string_view expected, ondemand::json_type actual) {
  std::string name = field.str();
  std::string message = fmt::format("Invalid type for '{}': expected {}, but got {} instead.", name,
                                    expected, name_of(actual));
  return Error{Code::InvalidArgument, std::move(message), std::move(name)};
}

Result<ondemand::json_type> type_of(ondemand::value& value) {
  ondemand::json_type type;
  if (const auto code = value.type().get(type)) return malformed(code);
  return type;
}

Result<bool> is_null(ondemand::value& value) {
  PERIGEE_TRY(type, type_of(value));
  if (type != ondemand::json_type::null) return false;
  bool null = false;
  if (const auto code = value.is_null().get(null)) return malformed(code);
  if (!null) return malformed(simdjson::N_ATOM_ERROR);
  return true;
}

Result<bool> read_bool(ondemand::value value, const Field& field) {
  PERIGEE_TRY(type, type_of(value));
  if (type != ondemand::json_type::boolean) return wrong_type(field, "a boolean", type);
  bool out = false;
  if (const auto code = value.get_bool().get(out)) return malformed(code);
  return out;
}

Result<std::int64_t> read_integer(ondemand::value value, const Field& field, std::int64_t min,
                                  std::int64_t max) {
  PERIGEE_TRY(type, type_of(value));
  if (type != ondemand::json_type::number) return wrong_type(field, "an integer", type);
  std::int64_t out = 0;
  if (value.get_int64().get(out) || out < min || out > max) {
    return invalid(field, fmt::format("expected an integer from {} to {}.", min, max));
  }
  return out;
}

Result<std::string_view> read_string(ondemand::value value, const Field& field) {
  PERIGEE_TRY(type, type_of(value));
  if (type != ondemand::json_type::string) return wrong_type(field, "a string", type);
  std::string_view out;
  if (const auto code = value.get_string().get(out)) return malformed(code);
  return out;
}

Result<> check_value(ondemand::value value, std::size_t depth_left) {
  PERIGEE_TRY(type, type_of(value));
  const bool nested = type == ondemand::json_type::array || type == ondemand::json_type::object;
  if (nested && depth_left == 0) return malformed(simdjson::DEPTH_ERROR);
  switch (type) {
    case ondemand::json_type::array: return check_array(value, depth_left - 1);
    case ondemand::json_type::object: return check_object(value, depth_left - 1);
    case ondemand::json_type::number: {
      double number = 0;
      if (const auto code = value.get_double().get(number)) return malformed(code);
      return {};
    }
    case ondemand::json_type::string: {
      std::string_view text;
      if (const auto code = value.get_string().get(text)) return malformed(code);
      return {};
    }
    case ondemand::json_type::boolean: {
      bool flag = false;
      if (const auto code = value.get_bool().get(flag)) return malformed(code);
      return {};
    }
    case ondemand::json_type::null: {
      auto null = is_null(value);
      if (!null) return std::move(null).error();
      return {};
    }
  }
  return malformed(simdjson::TAPE_ERROR);
}

}  // namespace perigee::api::json
