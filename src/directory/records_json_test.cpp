#include "directory/records_json.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

constexpr std::string_view kSite =
    R"({"url":"http://127.0.0.1:8101","tier":"metro","jurisdiction":"de","latitude":52.52,)"
    R"("longitude":13.4,"city":"Berlin"})";

TEST(RecordsJson, ReadsASiteFromARequest) {
  auto site = site_from_request("metro-berlin", kSite);
  ASSERT_TRUE(site) << site.error().message;
  EXPECT_EQ(site->id, SiteId{"metro-berlin"});
  EXPECT_EQ(site->tier, Tier::Metro);
  EXPECT_DOUBLE_EQ(site->latitude, 52.52);
  EXPECT_FALSE(site->joined);
  EXPECT_EQ(to_view(*site),
            R"({"name":"metro-berlin","url":"http://127.0.0.1:8101","tier":"metro",)"
            R"("jurisdiction":"de","latitude":52.52,"longitude":13.4,"city":"Berlin",)"
            R"("drained":false,"joined":false})");
}

struct Refusal {
  std::string_view json;
  std::string_view param;
  std::string_view message;
};

TEST(RecordsJson, NamesTheFieldThatIsWrong) {
  const Refusal refusals[] = {
      {R"({"url":"http://x"})", "tier", "`tier` is missing"},
      {R"({"url":7})", "url", "`url` must be a string of at most 256 printable bytes"},
      {R"({"url":"u","tier":"moon"})", "tier", "far_edge, edge, metro, regional or core"},
      {R"({"url":"u","tier":"core","jurisdiction":"D E"})", "jurisdiction", "lower-case letters"},
      {R"({"url":"u","tier":"core","jurisdiction":"de","latitude":91,"longitude":0})", "latitude",
       "a number from -90 to 90"},
      {R"({"url":"u","tier":"core","jurisdiction":"de","latitude":1,"longitude":0,"joined":true})",
       "joined", "unknown field `joined`"},
      {R"([1])", "", "expected a JSON object"},
      {R"({"url":)", "", "not valid JSON"},
  };
  for (const Refusal& refusal : refusals) {
    auto site = site_from_request("a", refusal.json);
    ASSERT_FALSE(site) << refusal.json;
    EXPECT_EQ(site.error().code, Code::InvalidArgument);
    EXPECT_EQ(site.error().param, refusal.param) << refusal.json;
    EXPECT_NE(site.error().message.find(refusal.message), std::string::npos)
        << site.error().message;
  }
}

TEST(RecordsJson, RefusesNamesThatAreNotNames) {
  EXPECT_EQ(site_from_request("Metro Berlin", kSite).error().param, "name");
  EXPECT_EQ(tenant_from_request("", "{}").error().param, "name");
  EXPECT_TRUE(model_from_request("org/Model-7B:q8", R"({"file":"m.gguf"})"));
}

TEST(RecordsJson, RefusesAModelFileThatLeavesItsFolder) {
  for (const char* file : {"../secret", "/etc/passwd", "..", ""}) {
    auto model = model_from_request("m", R"({"file":")" + std::string{file} + R"("})");
    ASSERT_FALSE(model) << file;
    EXPECT_EQ(model.error().param, "file");
  }
  EXPECT_TRUE(model_from_request("m", R"({"kind":"external"})"));
  EXPECT_FALSE(model_from_request("m", R"({"kind":"external","file":"a.gguf"})"));
}

TEST(RecordsJson, BoundsAPlacement) {
  auto placement = placement_from_request("a", "m", R"({"slots":4})");
  ASSERT_TRUE(placement);
  EXPECT_EQ(placement->slots, 4U);
  EXPECT_EQ(placement->engines, 1U);
  EXPECT_EQ(placement_from_request("a", "m", R"({"slots":0})").error().param, "slots");
  EXPECT_EQ(placement_from_request("a", "m", R"({"slots":257})").error().param, "slots");
  EXPECT_EQ(placement_from_request("a", "m", R"({"engines":1e9})").error().param, "engines");
}

TEST(RecordsJson, ReadsAPlacementThatAskedForMoreSlotsBeforeThereWasABound) {
  DirectorySnapshot snapshot;
  ASSERT_TRUE(
      apply_change(snapshot, {1, "placement", "a/m", R"({"site":"a","model":"m","slots":512})"}));
  EXPECT_EQ(snapshot.placements.begin()->second.slots, 512U);
}

TEST(RecordsJson, AViewShowsNoHash) {
  KeyRecord key;
  key.id = "k1";
  key.hash = sha256("text");
  EXPECT_EQ(to_view(key).find(to_hex(key.hash)), std::string::npos);
  EXPECT_NE(to_row(key).find(to_hex(key.hash)), std::string::npos);
  JoinTokenRecord token;
  token.hash = key.hash;
  EXPECT_EQ(to_view(token).find(to_hex(key.hash)), std::string::npos);
  SiteRecord site;
  site.joined = true;
  site.key_hash = key.hash;
  EXPECT_EQ(to_view(site).find(to_hex(key.hash)), std::string::npos);
}

TEST(RecordsJson, EscapesTextAndKeepsUtf8) {
  auto tenant = tenant_from_request("t", R"({"display_name":"K\u00f6ln \"A\" \\ b"})");
  ASSERT_TRUE(tenant) << tenant.error().message;
  EXPECT_EQ(tenant->display_name, "K\xc3\xb6ln \"A\" \\ b");
  DirectorySnapshot snapshot;
  ASSERT_TRUE(apply_change(snapshot, {1, "tenant", "t", to_row(*tenant)}));
  EXPECT_EQ(snapshot.tenants.at(TenantId{"t"}).display_name, tenant->display_name);
  EXPECT_FALSE(tenant_from_request("t", "{\"display_name\":\"\xff\"}")) << "not UTF-8";
}

}  // namespace
}  // namespace perigee
