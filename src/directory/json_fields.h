// JsonFields: reads the fields of one JSON object with their types and bounds, and remembers the
// first thing that was wrong. Boost.JSON shows here: include it in .cpp files only.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "base/secret.h"

namespace perigee {

// InvalidArgument when `text` is not one JSON object.
Result<boost::json::object> parse_json_object(std::string_view text);

enum class Need : std::uint8_t { Required, Optional };
enum class UnknownFields : std::uint8_t { Refuse, Ignore };

// Every reader returns a harmless value when the field is absent or wrong; ask finish() whether all
// was well. The object must outlive this.
class JsonFields {
 public:
  explicit JsonFields(const boost::json::object& object) : object_(object) {}

  bool has(std::string_view name) const { return object_.if_contains(name) != nullptr; }
  // At most `bytes_max`, no control characters.
  std::string text(std::string_view name, Need need, std::size_t bytes_max);
  // The same, of several lines: a PEM file.
  std::string lines(std::string_view name, Need need, std::size_t bytes_max);
  std::int64_t integer(std::string_view name, Need need, std::int64_t least, std::int64_t most,
                       std::int64_t absent = 0);
  double number(std::string_view name, Need need, double least, double most);
  bool flag(std::string_view name, bool absent = false);
  std::vector<std::string> texts(std::string_view name, std::size_t count_max,
                                 std::size_t bytes_max);
  Sha256 digest(std::string_view name, Need need);  // 64 lower-case hex digits; zeros when absent

  // Says that `name` is wrong: `expected` completes "`name` must be ...".
  void refuse(std::string_view name, std::string_view expected);
  Result<> finish(UnknownFields unknown);

 private:
  const boost::json::value* find(std::string_view name, Need need);
  void fail(std::string_view name, std::string message);
  const boost::json::object& object_;
  std::vector<std::string_view> known_;
  bool failed_ = false;
  Error error_;
};

}  // namespace perigee
