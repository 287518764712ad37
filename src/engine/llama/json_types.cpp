#include "engine/llama/json_types.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

namespace perigee::llama {

namespace json = boost::json;

namespace {

bool is_whole(const json::value& value) {
  return value.is_int64() || value.is_uint64() ||
         (value.is_double() && std::trunc(value.get_double()) == value.get_double());
}

}  // namespace

bool has(const Types& types, std::string_view type) {
  return std::ranges::find(types, type) != types.end();
}

bool has_type(const json::value& value, const Types& types) {
  if (value.is_number()) return has(types, "number") || (has(types, "integer") && is_whole(value));
  if (value.is_string()) return has(types, "string");
  if (value.is_object()) return has(types, "object");
  if (value.is_array()) return has(types, "array");
  return has(types, value.is_bool() ? "boolean" : "null");
}

}  // namespace perigee::llama
