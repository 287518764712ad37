#include "identity/member_check.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

Caller site(const std::string& name) {
  return {Role::Site, TenantId{}, "site:" + name, SiteId{name}};
}

TEST(MemberCheck, ASitesKeyCountsWithItsOwnCertificateOnly) {
  EXPECT_TRUE(check_member(site("metro"), "acme", "spiffe://acme/site/metro"));
  for (const char* member : {"", "spiffe://acme/site/other", "spiffe://other/site/metro",
                             "spiffe://acme/control", "spiffe://acme/site/metro2"}) {
    auto refused = check_member(site("metro"), "acme", member);
    ASSERT_FALSE(refused) << member;
    EXPECT_EQ(refused.error().code, Code::PermissionDenied);
    EXPECT_NE(refused.error().message.find("expected spiffe://acme/site/metro"), std::string::npos);
  }
}

TEST(MemberCheck, OthersNeedNone) {
  EXPECT_TRUE(check_member({Role::Tenant, TenantId{"t"}, "k", SiteId{}}, "acme", ""));
  EXPECT_TRUE(check_member({Role::Operator, TenantId{}, "o", SiteId{}}, "acme", ""));
  EXPECT_TRUE(check_member(site("metro"), "", "")) << "a grid without TLS";
}

}  // namespace
}  // namespace perigee
