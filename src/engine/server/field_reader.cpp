#include "engine/server/field_reader.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>

namespace perigee::engine_server {

namespace json = boost::json;

const json::value* FieldReader::any(std::string_view name) const {
  const json::value* found = object_.if_contains(name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

void FieldReader::fail(std::string_view name, std::string message) {
  if (!fault_) {
    fault_ = Error{Code::InvalidArgument, fmt::format("'{}{}' {}", prefix_, name, message),
                   prefix_ + std::string{name}};
  }
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const json::value* found = any(name);
  if (found == nullptr || fault_) return std::nullopt;
  if (const bool* value = found->if_bool()) return *value;
  fail(name, "must be true or false");
  return std::nullopt;
}

std::optional<double> FieldReader::number(std::string_view name, double least, double most) {
  const json::value* found = any(name);
  if (found == nullptr || fault_) return std::nullopt;
  if (found->is_number()) {
    const auto value = found->to_number<double>();
    if (value >= least && value <= most) return value;
  }
  fail(name, fmt::format("must be a number from {} to {}", least, most));
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer(std::string_view name, std::int64_t least,
                                                 std::int64_t most) {
  const json::value* found = any(name);
  if (found == nullptr || fault_) return std::nullopt;
  boost::system::error_code error;
  const auto value = found->is_number() ? found->to_number<std::int64_t>(error) : 0;
  if (found->is_number() && !error && value >= least && value <= most) return value;
  fail(name, fmt::format("must be a whole number from {} to {}", least, most));
  return std::nullopt;
}

std::optional<std::string_view> FieldReader::string(std::string_view name) {
  const json::value* found = any(name);
  if (found == nullptr || fault_) return std::nullopt;
  if (const json::string* value = found->if_string()) return std::string_view{*value};
  fail(name, "must be a string");
  return std::nullopt;
}

const json::object* FieldReader::object(std::string_view name) {
  const json::value* found = any(name);
  if (found == nullptr || fault_) return nullptr;
  if (found->is_object()) return &found->get_object();
  fail(name, "must be an object");
  return nullptr;
}

const json::array* FieldReader::array(std::string_view name) {
  const json::value* found = any(name);
  if (found == nullptr || fault_) return nullptr;
  if (found->is_array()) return &found->get_array();
  fail(name, "must be an array");
  return nullptr;
}

}  // namespace perigee::engine_server
