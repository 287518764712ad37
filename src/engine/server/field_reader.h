// FieldReader: typed, ranged access to the members of a JSON object from a client.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace perigee::engine_server {

// Absent and null are the same. The first fault is kept and further reads yield nothing, so that a
// parser reads all fields and asks once: `if (auto fault = reader.fault()) return *fault;`
// The object must outlive the reader and what it returns.
class FieldReader {
 public:
  // `prefix` stands before names in errors: "stream_options." or empty.
  explicit FieldReader(const boost::json::object& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  std::optional<bool> boolean(std::string_view name);
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  std::optional<std::string_view> string(std::string_view name);
  const boost::json::object* object(std::string_view name);
  const boost::json::array* array(std::string_view name);
  const boost::json::value* any(std::string_view name) const;

  void fail(std::string_view name, std::string message);
  const std::optional<Error>& fault() const { return fault_; }

 private:
  const boost::json::object& object_;
  std::string prefix_;
  std::optional<Error> fault_;
};

}  // namespace perigee::engine_server
