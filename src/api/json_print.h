// Prints a Boost.JSON value on one line with numbers as people write them: Boost.JSON itself prints
// 115.658 as 1.15658E2.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace perigee::api {

// Doubles in the shortest form that reads back to the same value; what JSON can't say (infinity,
// not-a-number) as null.
std::string print_json(const boost::json::value& value);

}  // namespace perigee::api
