#include "lab/schema_check.h"

#include <gtest/gtest.h>

#include <string_view>

#include "lab/lab_requests.h"

namespace perigee::lab {
namespace {

TEST(SchemaCheck, FindsEachWayToBeWrong) {
  const std::string_view sites = kLabSchemas[2];
  EXPECT_EQ(schema_violation(sites, R"({"sites":["a"],"count":3,"urgent":true})"), "");
  EXPECT_EQ(schema_violation(sites, R"({"sites":["a"],"count":3,"urgent":tr)"), "it is no JSON");
  EXPECT_EQ(schema_violation(sites, R"({"sites":["a"],"count":3})"), "lacks urgent");
  EXPECT_EQ(schema_violation(sites, R"({"sites":[],"count":3,"urgent":true})"),
            "sites: has too few");
  EXPECT_EQ(schema_violation(sites, R"({"sites":["a"],"count":51,"urgent":true})"),
            "count: is too large");
  EXPECT_EQ(schema_violation(sites, R"({"sites":["a"],"count":1.5,"urgent":true})"),
            "count: is no integer");
  EXPECT_EQ(schema_violation(sites, R"({"sites":["a"],"count":1,"urgent":true,"x":1})"), "has x");
  EXPECT_EQ(schema_violation(sites, R"({"sites":["0123456789abc"],"count":1,"urgent":true})"),
            "sites: an item: is too long");
  const std::string_view state = kLabSchemas[1];
  EXPECT_EQ(schema_violation(state, R"({"state":"fine","reason":""})"),
            "state: is not in the enum");
}

TEST(SchemaCheck, ReportsAKeywordThatItCannotJudge) {
  const std::string_view schema = R"({"pattern":"a+"})";
  EXPECT_NE(schema_violation(schema, "\"b\""), "");
}

}  // namespace
}  // namespace perigee::lab
