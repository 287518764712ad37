#include "gateway/key_scope.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using enum ServiceClass;

KeyScope scope_of(std::vector<ServiceClass> classes) {
  KeyScope scope;
  scope.classes = std::move(classes);
  return scope;
}

std::vector<JurisdictionId> laws(std::initializer_list<const char*> names) {
  std::vector<JurisdictionId> all;
  for (const char* name : names) all.emplace_back(name);
  return all;
}

TEST(KeyScope, WhatRunsForARevokedKeyOrASuspendedTenantMayNotRunOn) {
  DirectorySnapshot directory;
  const TenantId acme{"acme"};
  directory.tenants.insert_or_assign(acme, TenantRecord{});
  directory.keys.insert_or_assign("k1", KeyRecord{});
  directory.issuers.insert_or_assign("corp", IssuerRecord{});
  const auto code = [&](std::string_view key_id) {
    const auto stands = still_stands(directory, acme, key_id);
    return stands ? std::optional<Code>{} : stands.error().code;
  };
  EXPECT_EQ(code("k1"), std::nullopt);
  EXPECT_EQ(code("iss:corp:abc"), std::nullopt);
  EXPECT_EQ(code("k2"), Code::Unauthenticated);
  EXPECT_EQ(code("iss:other:abc"), Code::Unauthenticated);
  directory.tenants.update(acme, [](TenantRecord& tenant) { tenant.suspended = true; });
  EXPECT_EQ(code("k1"), Code::PermissionDenied);
  EXPECT_EQ(code("iss:corp:abc"), Code::PermissionDenied);
  directory.tenants.update(acme, [](TenantRecord& tenant) { tenant.suspended = false; });
  directory.keys.update("k1", [](KeyRecord& key) { key.revoked = true; });
  EXPECT_EQ(code("k1"), Code::Unauthenticated);
  EXPECT_TRUE(still_stands(directory, TenantId{}, "iss:corp:abc")) << "an operator's";
  directory.tenants.clear();
  EXPECT_EQ(code("iss:corp:abc"), Code::Unauthenticated);
}

TEST(KeyScope, AnEmptyScopeBindsNothing) {
  EXPECT_TRUE(check_model(KeyScope{}, ModelId{"m"}));
  EXPECT_EQ(*allowed_class(KeyScope{}, std::nullopt), Standard);
  EXPECT_EQ(*allowed_class(KeyScope{}, Realtime), Realtime);
  EXPECT_FALSE(KeyScope{}.limits_rate());
}

TEST(KeyScope, AnotherModelIsRefusedWithThoseThatAreAllowed) {
  KeyScope scope;
  scope.models = {ModelId{"a"}, ModelId{"b"}};
  EXPECT_TRUE(check_model(scope, ModelId{"b"}));
  const auto refused = check_model(scope, ModelId{"c"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::PermissionDenied);
  EXPECT_EQ(refused.error().param, "model");
  EXPECT_NE(refused.error().message.find("a, b"), std::string::npos);
}

TEST(KeyScope, ARequestThatNamesNoClassGetsTheBestThatIsNotAboveStandard) {
  EXPECT_EQ(*allowed_class(scope_of({Batch}), std::nullopt), Batch);
  EXPECT_EQ(*allowed_class(scope_of({Realtime, Standard}), std::nullopt), Standard);
  EXPECT_EQ(*allowed_class(scope_of({Realtime, Interactive}), std::nullopt), Interactive);
  const auto refused = allowed_class(scope_of({Batch}), Realtime);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::PermissionDenied);
  EXPECT_NE(refused.error().message.find("batch"), std::string::npos);
}

TEST(KeyScope, LawsOnlyEverNarrow) {
  EXPECT_EQ(*both_allow({}, "tenant", laws({"de"})), laws({"de"}));
  EXPECT_EQ(*both_allow(laws({"de", "fr"}), "tenant", {}), laws({"de", "fr"}));
  EXPECT_EQ(*both_allow(laws({"de", "fr"}), "key", laws({"us", "fr"})), laws({"fr"}));
  const auto refused = both_allow(laws({"de"}), "key", laws({"fr"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::DataResidency);
  EXPECT_NE(refused.error().message.find("this key: it may use de"), std::string::npos);
}

}  // namespace
}  // namespace perigee
