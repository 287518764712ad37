#include "demo/orders.h"

#include <gtest/gtest.h>

namespace perigee::demo {
namespace {

TEST(Orders, SurviveTheirWayThroughJson) {
  Order slow;
  slow.kind = OrderKind::Slow;
  slow.from = SiteId{"a"};
  slow.to = SiteId{"b"};
  slow.ms = 40;
  const auto read = parse_order(to_json(slow));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, OrderKind::Slow);
  EXPECT_EQ(read->from, slow.from);
  EXPECT_EQ(read->to, slow.to);
  EXPECT_DOUBLE_EQ(read->ms, 40);
}

TEST(Orders, CutBothWaysUnlessToldOtherwise) {
  EXPECT_FALSE(parse_order(R"({"order":"cut","from":"a","to":"b"})")->one_way);
  EXPECT_TRUE(parse_order(R"({"order":"cut","from":"a","to":"b","one_way":true})")->one_way);
}

TEST(Orders, HealEveryLinkOrOne) {
  EXPECT_TRUE(parse_order(R"({"order":"heal"})")->from.empty());
  EXPECT_EQ(parse_order(R"({"order":"heal","from":"a","to":"b"})")->to.str(), "b");
  EXPECT_EQ(parse_order(R"({"order":"heal","from":"a"})").error().param, "to");
}

TEST(Orders, AreRefusedByField) {
  EXPECT_EQ(parse_order("[]").error().code, Code::InvalidArgument);
  EXPECT_EQ(parse_order(R"({"order":"explode"})").error().param, "order");
  EXPECT_EQ(parse_order(R"({"order":"kill"})").error().param, "site");
  EXPECT_EQ(parse_order(R"({"order":"kill","site":"../etc"})").error().param, "site");
  EXPECT_EQ(parse_order(R"({"order":"cut","from":"a","to":"a"})").error().param, "to");
  EXPECT_EQ(parse_order(R"({"order":"slow","from":"a","to":"b","ms":-1})").error().param, "ms");
  EXPECT_EQ(parse_order(R"({"order":"slow","from":"a","to":"b","ms":"x"})").error().param, "ms");
}

}  // namespace
}  // namespace perigee::demo
