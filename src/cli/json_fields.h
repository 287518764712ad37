// Reading JSON that another process wrote, without trust: what is missing or of the wrong type
// reads as empty or zero.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace perigee::cli {

const boost::json::value* field(const boost::json::value& object, std::string_view name);
std::string text_field(const boost::json::value& object, std::string_view name);
double number_field(const boost::json::value& object, std::string_view name);
bool flag_field(const boost::json::value& object, std::string_view name);
// The elements of an array; an empty array when it is none.
const boost::json::array& list_field(const boost::json::value& object, std::string_view name);

}  // namespace perigee::cli
