// Writing JSON by appending to a string: the few pieces that api's bodies need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace perigee::api {

// Appends `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD, so the
// result is always valid JSON.
void append_json_string(std::string& out, std::string_view text);
// Appends the decimal form.
void append_json_number(std::string& out, std::int64_t number);

}  // namespace perigee::api
