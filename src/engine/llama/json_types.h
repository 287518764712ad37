// The types that JSON schemas name: object, array, string, integer, number, boolean, null.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace perigee::llama {

using Types = std::vector<std::string>;

bool has(const Types& types, std::string_view type);
// Whether the value is of one of the types. A number without a fraction is an integer, too.
bool has_type(const boost::json::value& value, const Types& types);

}  // namespace perigee::llama
