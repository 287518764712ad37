#include "cli/json_fields.h"

#include <boost/json.hpp>

namespace perigee::cli {

namespace json = boost::json;

const json::value* field(const json::value& object, std::string_view name) {
  return object.is_object() ? object.get_object().if_contains(name) : nullptr;
}

std::string text_field(const json::value& object, std::string_view name) {
  const json::value* value = field(object, name);
  return value != nullptr && value->is_string() ? std::string{std::string_view{value->get_string()}}
                                                : std::string{};
}

double number_field(const json::value& object, std::string_view name) {
  const json::value* value = field(object, name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

bool flag_field(const json::value& object, std::string_view name) {
  const json::value* value = field(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::array& list_field(const json::value& object, std::string_view name) {
  static const json::array none;
  const json::value* value = field(object, name);
  return value != nullptr && value->is_array() ? value->get_array() : none;
}

}  // namespace perigee::cli
