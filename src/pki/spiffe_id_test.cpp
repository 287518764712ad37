#include "pki/spiffe_id.h"

#include <gtest/gtest.h>

namespace perigee::pki {
namespace {

TEST(SpiffeId, IsReadAsItIsWritten) {
  for (const GridMember& member : {GridMember{"acme", MemberRole::Site, "metro-berlin"},
                                   GridMember{"acme", MemberRole::Control, ""},
                                   GridMember{"a.b_c-1", MemberRole::Operator, "ops"},
                                   GridMember{"acme", MemberRole::Authority, ""}}) {
    auto read = parse_spiffe_id(spiffe_id(member));
    ASSERT_TRUE(read) << spiffe_id(member);
    EXPECT_EQ(*read, member);
  }
  EXPECT_EQ(site_spiffe_id("acme", SiteId{"metro"}), "spiffe://acme/site/metro");
  EXPECT_EQ(control_spiffe_id("acme"), "spiffe://acme/control");
}

TEST(SpiffeId, RefusesWhatNamesNoMember) {
  for (const char* id :
       {"", "acme", "http://acme/site/x", "spiffe://", "spiffe:///site/x", "spiffe://ACME/control",
        "spiffe://acme/", "spiffe://acme/site", "spiffe://acme/site/", "spiffe://acme/site/a/b",
        "spiffe://acme/site/UP", "spiffe://acme/control/", "spiffe://acme/node/x",
        "spiffe://acme:80/control", "spiffe://acme/site/../control"}) {
    EXPECT_FALSE(parse_spiffe_id(id)) << id;
  }
}

TEST(SpiffeId, AnEndlessIdMakesAShortMessage) {
  auto refused = parse_spiffe_id(std::string(100'000, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_LT(refused.error().message.size(), 400U);
}

}  // namespace
}  // namespace perigee::pki
