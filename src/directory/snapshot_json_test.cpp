#include <gtest/gtest.h>

#include "directory/records_json.h"

namespace perigee {
namespace {

DirectorySnapshot example() {
  DirectorySnapshot snapshot;
  snapshot.revision = 7;
  snapshot.epoch = "e1";
  snapshot.grid = "demo";
  SiteRecord site;
  site.id = SiteId{"metro-berlin"};
  site.url = "http://127.0.0.1:8101";
  site.jurisdiction = JurisdictionId{"de"};
  site.joined = true;
  site.key_hash = sha256("site key");
  snapshot.sites.insert_or_assign(site.id, site);
  ModelRecord model;
  model.id = ModelId{"org/m:q8"};
  model.file = "m.gguf";
  snapshot.models.emplace(model.id, model);
  snapshot.placements.insert_or_assign({site.id, model.id}, {site.id, model.id, 2, 4, 1});
  TenantRecord tenant;
  tenant.id = TenantId{"acme"};
  tenant.jurisdictions = {JurisdictionId{"de"}, JurisdictionId{"fr"}};
  snapshot.tenants.insert_or_assign(tenant.id, tenant);
  KeyRecord key;
  key.id = "k1";
  key.hash = sha256("key");
  key.tenant = tenant.id;
  key.account = "k0";
  key.created = WallTime{1'700'000'000'000'000};
  key.scope.classes = {ServiceClass::Batch};
  key.scope.requests_per_minute = 60;
  snapshot.keys.insert_or_assign(key.id, key);
  IssuerRecord issuer;
  issuer.id = "corp";
  issuer.issuer = "https://id.example";
  issuer.audience = "grid";
  issuer.algorithms = {"ES256"};
  issuer.jwks = R"({"keys":[]})";
  issuer.jwks_url = "https://id.example/keys";
  issuer.tenant = tenant.id;
  snapshot.issuers.insert_or_assign(issuer.id, issuer);
  return snapshot;
}

TEST(SnapshotJson, ReadsBackWhatItWrote) {
  std::vector<std::string> skipped;
  auto again = snapshot_from_json(to_json(example()), skipped);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(skipped.empty());
  EXPECT_EQ(to_json(*again), to_json(example()));
  EXPECT_EQ(again->sites.at(SiteId{"metro-berlin"}).key_hash, sha256("site key"));
  EXPECT_EQ(again->tenants.at(TenantId{"acme"}).jurisdictions.size(), 2U);
  EXPECT_EQ(again->placements.begin()->second.engines, 2U);
  EXPECT_EQ(again->keys.at("k1").scope, example().keys.at("k1").scope);
  EXPECT_EQ(again->issuers.at("corp").jwks, R"({"keys":[]})");
  EXPECT_EQ(again->issuers.at("corp").jwks_url, "https://id.example/keys");
}

TEST(SnapshotJson, AnEventChangesAllItsRowsAndTheRevision) {
  DirectorySnapshot snapshot = example();
  SiteRecord drained = snapshot.sites.at(SiteId{"metro-berlin"});
  drained.drained = true;
  const std::string event = to_event(9, {{9, "site", "metro-berlin", to_row(drained)},
                                         {9, "placement", "metro-berlin/org/m:q8", ""},
                                         {9, "key", "k1", ""}});
  std::vector<std::string> skipped;
  ASSERT_TRUE(apply_event(snapshot, event, skipped));
  EXPECT_EQ(snapshot.revision, 9U);
  EXPECT_TRUE(snapshot.sites.at(SiteId{"metro-berlin"}).drained);
  EXPECT_TRUE(snapshot.placements.empty());
  EXPECT_TRUE(snapshot.keys.empty());
  EXPECT_TRUE(skipped.empty());
}

TEST(SnapshotJson, KeepsPlacementsOrderedAndUnique) {
  DirectorySnapshot snapshot;
  for (const char* name : {"b", "a", "c", "a"}) {
    PlacementRecord record;
    record.site = SiteId{name};
    record.model = ModelId{"m"};
    ASSERT_TRUE(apply_change(
        snapshot, {1, "placement", placement_key(record.site, record.model), to_row(record)}));
  }
  std::string sites;
  for (const auto& [id, placement] : snapshot.placements) sites += placement.site.str();
  EXPECT_EQ(sites, "abc");
}

TEST(SnapshotJson, FollowsANewerControl) {
  DirectorySnapshot snapshot;
  std::vector<std::string> skipped;
  const std::string event =
      R"({"revision":3,"later":1,"rows":[{"kind":"budget","key":"x","value":{}},)"
      R"({"kind":"tenant","key":"acme","value":{"name":"acme","colour":"red"}},)"
      R"({"kind":"site","key":"s","value":{"name":"s","url":"u","tier":"orbit"}}]})";
  ASSERT_TRUE(apply_event(snapshot, event, skipped));
  EXPECT_EQ(snapshot.tenants.size(), 1U) << "unknown fields and kinds are ignored";
  ASSERT_EQ(skipped.size(), 1U) << "a row that can't be understood is left out, the rest is used";
  EXPECT_NE(skipped.at(0).find("site s: `tier` must be"), std::string::npos) << skipped.at(0);
}

TEST(SnapshotJson, RefusesFramesThatAreNotSnapshots) {
  std::vector<std::string> skipped;
  for (const char* text :
       {"", "[]", "{}", R"({"revision":-1,"rows":[]})", R"({"revision":1,"rows":[7]})",
        R"({"revision":1,"rows":[{"kind":"site","key":"a"}]})", R"({"revision":"1","rows":[]})"}) {
    auto refused = snapshot_from_json(text, skipped);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, Code::Protocol);
  }
}

TEST(SnapshotJson, ARowUnderAnotherNameIsDamaged) {
  DirectorySnapshot snapshot;
  TenantRecord tenant;
  tenant.id = TenantId{"acme"};
  auto refused = apply_change(snapshot, {1, "tenant", "other", to_row(tenant)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::DataLoss);
  EXPECT_TRUE(snapshot.tenants.empty());
}

}  // namespace
}  // namespace perigee
