// What api's readers share over simdjson's On-Demand parser: checked values with errors that name
// the field. Private to api's .cpp files (it includes simdjson).
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace perigee::api::json {

namespace ondemand = simdjson::ondemand;

// Name of a field in a request, put together only when an error needs it:
// "messages[3].content[0].text".
struct Field {
  std::string_view name;
  std::int64_t index = -1;
  std::string_view member = {};
  std::int64_t part = -1;
  std::string_view part_member = {};
  std::string str() const;
};

// The thread's parser; one document at a time. After a large document call release_parser(), which
// gives its memory back.
ondemand::parser& thread_parser();
void release_parser();

Error malformed(simdjson::error_code code);
Error invalid(const Field& field, std::string_view what);
Error duplicate(const Field& field);
// "Invalid type for 'n': expected an integer, but got a string instead."
Error wrong_type(const Field& field, std::string_view expected, ondemand::json_type actual);

Result<ondemand::json_type> type_of(ondemand::value& value);
// True when it is null; a damaged literal ("nulx") is an error.
Result<bool> is_null(ondemand::value& value);
Result<bool> read_bool(ondemand::value value, const Field& field);
Result<std::int64_t> read_integer(ondemand::value value, const Field& field, std::int64_t min,
                                  std::int64_t max);
// Valid until the parser's next document.
Result<std::string_view> read_string(ondemand::value value, const Field& field);
// Walks a value that is not otherwise read, so that the whole body is known to be valid JSON and no
// deeper than `depth_left` more levels.
Result<> check_value(ondemand::value value, std::size_t depth_left);

}  // namespace perigee::api::json
