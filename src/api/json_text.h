// Writing JSON by appending to a string: the few pieces that api's bodies need.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::api {

// Appends `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD, so the
// result is always valid JSON.
void append_json_string(std::string& out, std::string_view text);
// What stands between the quotes of a valid JSON string, as UTF-8. Nullopt for an escape that is
// half of a surrogate pair: it is no text.
std::optional<std::string> unescaped_json(std::string_view raw);
// Appends the decimal form.
void append_json_number(std::string& out, std::int64_t number);

}  // namespace perigee::api
