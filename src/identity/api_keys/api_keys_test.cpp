#include "identity/api_keys/api_keys.h"

#include <gtest/gtest.h>

#include "identity/key_text.h"

namespace perigee {
namespace {

class ApiKeysTest : public testing::Test {
 protected:
  ApiKeysTest() {
    add_tenant("acme", false);
    add_tenant("late", true);
    add_key("k1", tenant_key_, Role::Tenant, "acme");
    add_key("op", operator_key_, Role::Operator, "");
    SiteRecord site;
    site.id = SiteId{"metro-a"};
    site.key_hash = sha256(site_key_);
    site.joined = true;
    snapshot_.sites.insert_or_assign(site.id, site);
    keys_.update(snapshot_);
  }
  void add_tenant(const std::string& name, bool suspended) {
    TenantRecord tenant;
    tenant.id = TenantId{name};
    tenant.suspended = suspended;
    snapshot_.tenants.insert_or_assign(tenant.id, tenant);
  }
  void add_key(const std::string& id, const std::string& text, Role role,
               const std::string& tenant) {
    KeyRecord key;
    key.id = id;
    key.hash = sha256(text);
    key.role = role;
    key.tenant = TenantId{tenant};
    snapshot_.keys.insert_or_assign(id, key);
  }
  Error refusal(const std::string& authorization) {
    auto caller = keys_.authenticate(authorization);
    EXPECT_FALSE(caller) << authorization;
    return caller ? Error{} : caller.error();
  }

  ManualClock clock_;
  DirectorySnapshot snapshot_;
  ApiKeys keys_{clock_};
  std::string tenant_key_ = make_key(KeyKind::Tenant);
  std::string operator_key_ = make_key(KeyKind::Operator);
  std::string site_key_ = make_key(KeyKind::Site);
};

TEST_F(ApiKeysTest, KnowsTenantsOperatorsAndSites) {
  auto tenant = keys_.authenticate("Bearer " + tenant_key_);
  ASSERT_TRUE(tenant);
  EXPECT_EQ(tenant->role, Role::Tenant);
  EXPECT_EQ(tenant->tenant.str(), "acme");
  EXPECT_EQ(tenant->key_id, "k1");
  EXPECT_EQ(keys_.authenticate("bearer  " + operator_key_)->role, Role::Operator);
  auto site = keys_.authenticate("BEARER " + site_key_);
  ASSERT_TRUE(site);
  EXPECT_EQ(site->role, Role::Site);
  EXPECT_EQ(site->site.str(), "metro-a");
}

TEST_F(ApiKeysTest, SaysWhatIsWrongWithAHeader) {
  EXPECT_NE(refusal("").message.find("Authorization: Bearer KEY"), std::string::npos);
  EXPECT_NE(refusal("Basic abc").message.find("must be `Bearer KEY`"), std::string::npos);
  EXPECT_NE(refusal("Bearer sk-1234").message.find("not a Perigee key"), std::string::npos);
  EXPECT_NE(refusal("Bearer " + tenant_key_.substr(0, 40)).message.find("mistyped or cut"),
            std::string::npos);
  EXPECT_NE(refusal("Bearer " + make_key(KeyKind::Tenant)).message.find("unknown API key"),
            std::string::npos);
  EXPECT_NE(refusal("Bearer " + make_key(KeyKind::JoinToken)).message.find("join token"),
            std::string::npos);
  EXPECT_EQ(refusal("").code, Code::Unauthenticated);
}

TEST_F(ApiKeysTest, NoMessageRepeatsTheKey) {
  const std::string typo = tenant_key_ + "x";
  for (const std::string& key : {typo, make_key(KeyKind::Tenant), std::string{"sk-secret"}}) {
    EXPECT_EQ(refusal("Bearer " + key).message.find(key), std::string::npos);
  }
}

TEST_F(ApiKeysTest, RefusesRevokedAndExpiredKeys) {
  snapshot_.keys.update("k1", [](KeyRecord& key) { key.revoked = true; });
  snapshot_.keys.update("op", [](KeyRecord& key) { key.expires = WallTime{1'000'000}; });
  keys_.update(snapshot_);
  EXPECT_NE(refusal("Bearer " + tenant_key_).message.find("revoked"), std::string::npos);
  EXPECT_TRUE(keys_.authenticate("Bearer " + operator_key_));
  clock_.advance(seconds{1});
  EXPECT_NE(refusal("Bearer " + operator_key_).message.find("expired"), std::string::npos);
}

TEST_F(ApiKeysTest, RefusesKeysOfSuspendedAndRemovedTenants) {
  const std::string late = make_key(KeyKind::Tenant);
  const std::string gone = make_key(KeyKind::Tenant);
  add_key("k2", late, Role::Tenant, "late");
  add_key("k3", gone, Role::Tenant, "gone");
  keys_.update(snapshot_);
  EXPECT_EQ(refusal("Bearer " + late).code, Code::PermissionDenied);
  EXPECT_NE(refusal("Bearer " + late).message.find("suspended"), std::string::npos);
  EXPECT_NE(refusal("Bearer " + gone).message.find("tenant was removed"), std::string::npos);
}

TEST_F(ApiKeysTest, FollowsTheStandingOfATenant) {
  const auto suspend = [this](bool suspended) {
    add_tenant("acme", suspended);
    keys_.update(snapshot_);
  };
  suspend(true);
  EXPECT_EQ(refusal("Bearer " + tenant_key_).code, Code::PermissionDenied);
  suspend(false);
  EXPECT_TRUE(keys_.authenticate("Bearer " + tenant_key_));
  snapshot_.tenants.erase(TenantId{"acme"});
  keys_.update(snapshot_);
  EXPECT_EQ(refusal("Bearer " + tenant_key_).code, Code::Unauthenticated);
  EXPECT_TRUE(keys_.authenticate("Bearer " + operator_key_));
}

TEST_F(ApiKeysTest, ARemovedKeyIsNoLongerKnown) {
  snapshot_.keys.erase("k1");
  keys_.update(snapshot_);
  EXPECT_NE(refusal("Bearer " + tenant_key_).message.find("removed"), std::string::npos);
  EXPECT_EQ(keys_.size(), 2U);
}

// A row may get another key's text: in whichever order the rows are looked at, it counts.
TEST_F(ApiKeysTest, AKeyMayChangeItsName) {
  for (const char* name : {"k0", "k9", "k1"}) {
    snapshot_.keys.clear();
    add_key("op", operator_key_, Role::Operator, "");
    add_key(name, tenant_key_, Role::Tenant, "acme");
    keys_.update(snapshot_);
    EXPECT_EQ(keys_.authenticate("Bearer " + tenant_key_)->key_id, name);
    EXPECT_EQ(keys_.size(), 3U);
  }
}

TEST_F(ApiKeysTest, ANewKeyOfTheSameNameReplacesTheOld) {
  const std::string other = make_key(KeyKind::Tenant);
  add_key("k1", other, Role::Tenant, "acme");
  keys_.update(snapshot_);
  EXPECT_EQ(refusal("Bearer " + tenant_key_).code, Code::Unauthenticated);
  EXPECT_TRUE(keys_.authenticate("Bearer " + other));
}

TEST_F(ApiKeysTest, ARemovedSiteIsNoLongerKnown) {
  snapshot_.sites.clear();
  keys_.update(snapshot_);
  EXPECT_EQ(refusal("Bearer " + site_key_).code, Code::Unauthenticated);
}

TEST_F(ApiKeysTest, ASiteThatMustJoinAgainIsNoLongerKnown) {
  snapshot_.sites.update(SiteId{"metro-a"}, [](SiteRecord& site) { site.joined = false; });
  keys_.update(snapshot_);
  EXPECT_EQ(refusal("Bearer " + site_key_).code, Code::Unauthenticated);
}

}  // namespace
}  // namespace perigee
