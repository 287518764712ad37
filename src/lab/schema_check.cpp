#include "lab/schema_check.h"

#include <algorithm>
#include <boost/json.hpp>

namespace perigee::lab {
namespace {

namespace json = boost::json;

bool is_a(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  return type == "null" && value.is_null();
}

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// Object, array and string: what their size and parts say.
std::string object_violation(std::string_view key, const json::value& limit,
                             const json::value& schema, const json::object& object) {
  if (key == "required") {
    for (const json::value& name : limit.as_array()) {
      if (!object.contains(name.as_string())) return "lacks " + std::string{name.as_string()};
    }
  }
  for (const auto& [name, member] : object) {
    const json::object& properties = schema.at("properties").as_object();
    const json::value* property = properties.if_contains(name);
    if (property == nullptr) {
      if (key == "additionalProperties" && limit.is_bool() && !limit.get_bool()) {
        return "has " + std::string{name};
      }
    } else if (key == "properties") {
      const std::string wrong = schema_violation(*property, member);
      if (!wrong.empty()) return std::string{name} + ": " + wrong;
    }
  }
  return {};
}

std::string array_violation(std::string_view key, const json::value& limit,
                            const json::array& array) {
  if (key == "minItems" && array.size() < limit.to_number<std::size_t>()) return "has too few";
  if (key == "maxItems" && array.size() > limit.to_number<std::size_t>()) return "has too many";
  if (key != "items") return {};
  for (const json::value& item : array) {
    const std::string wrong = schema_violation(limit, item);
    if (!wrong.empty()) return "an item: " + wrong;
  }
  return {};
}

}  // namespace

std::string schema_violation(const json::value& schema, const json::value& value) {
  for (const auto& [name, limit] : schema.as_object()) {
    const std::string_view key = name;
    std::string wrong;
    if (key == "type") {
      if (!is_a(value, limit.as_string())) wrong = "is no " + std::string{limit.as_string()};
    } else if (key == "enum") {
      if (std::ranges::find(limit.as_array(), value) == limit.as_array().end()) {
        wrong = "is not in the enum";
      }
    } else if (key == "properties" || key == "required" || key == "additionalProperties") {
      if (value.is_object()) wrong = object_violation(key, limit, schema, value.get_object());
    } else if (key == "items" || key == "minItems" || key == "maxItems") {
      if (value.is_array()) wrong = array_violation(key, limit, value.get_array());
    } else if (key == "maxLength") {
      const bool fits =
          !value.is_string() || code_points(value.get_string()) <= limit.to_number<std::size_t>();
      if (!fits) wrong = "is too long";
    } else if (key == "minimum") {
      if (value.is_number() && value.to_number<double>() < limit.to_number<double>()) {
        wrong = "is too small";
      }
    } else if (key == "maximum") {
      if (value.is_number() && value.to_number<double>() > limit.to_number<double>()) {
        wrong = "is too large";
      }
    } else {
      wrong = "the schema has '" + std::string{key} + "', which is not understood here";
    }
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string schema_violation(std::string_view schema, std::string_view text) {
  boost::system::error_code failed;
  const json::value value = json::parse(text, failed);
  if (failed) return "it is no JSON";
  return schema_violation(json::parse(schema), value);
}

}  // namespace perigee::lab
