#include "api/json_print.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>

namespace perigee::api {
namespace {

TEST(JsonPrint, WritesNumbersAsPeopleDo) {
  const boost::json::value value{{"ms", 115.658}, {"n", 3}, {"list", {1.5, true, nullptr, "a\"b"}}};
  EXPECT_EQ(print_json(value), R"({"ms":115.658,"n":3,"list":[1.5,true,null,"a\"b"]})");
}

TEST(JsonPrint, SaysNullForWhatJsonCannotSay) {
  EXPECT_EQ(print_json(boost::json::value(std::numeric_limits<double>::infinity())), "null");
}

}  // namespace
}  // namespace perigee::api
