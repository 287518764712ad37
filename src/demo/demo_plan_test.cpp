#include "demo/demo_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace perigee::demo {
namespace {

const PlannedSite& named(const std::vector<PlannedSite>& sites, std::string_view name) {
  return *std::ranges::find(sites, name, [](const PlannedSite& s) { return s.name.str(); });
}

TEST(DemoPlan, HasTwoCellsTwoMetrosOneRegionalOneCoreUnderTwoLaws) {
  const auto sites = plan_sites(kSitesDefault).value();
  std::multiset<Tier> tiers;
  std::set<std::string> laws;
  for (const auto& site : sites) {
    tiers.insert(site.tier);
    laws.insert(site.jurisdiction.str());
    EXPECT_TRUE(valid_name(site.name.str()));
    EXPECT_TRUE(valid_name(site.jurisdiction.str()));
  }
  EXPECT_EQ(tiers, (std::multiset<Tier>{Tier::FarEdge, Tier::FarEdge, Tier::Metro, Tier::Metro,
                                        Tier::Regional, Tier::Core}));
  EXPECT_EQ(laws, (std::set<std::string>{"de", "fr"}));
  EXPECT_EQ(sites.front().tier, Tier::FarEdge);
  EXPECT_EQ(sites.back().tier, Tier::Core);
}

TEST(DemoPlan, PutsStrasbourgNearerToFrankfurtThanToParis) {
  const auto sites = plan_sites(kSitesDefault).value();
  const auto& strasbourg = named(sites, "cell-strasbourg");
  EXPECT_EQ(strasbourg.slots, 0U);
  EXPECT_LT(great_circle_km(strasbourg.place, named(sites, "regional-frankfurt").place),
            great_circle_km(strasbourg.place, named(sites, "metro-paris").place));
}

TEST(DemoPlan, HasDistinctSitesAndForwardsAtEverySize) {
  for (std::size_t count = kSitesMin; count <= kSitesMax; ++count) {
    const auto sites = plan_sites(count).value();
    std::set<SiteId> names;
    for (const auto& site : sites) names.insert(site.name);
    EXPECT_EQ(names.size(), count);
    EXPECT_EQ(named(sites, "cell-strasbourg").slots, 0U);
    EXPECT_GE(std::ranges::count_if(sites, [](const auto& s) { return s.slots > 0; }), 2);
  }
}

TEST(DemoPlan, RefusesTooFewAndTooManySites) {
  EXPECT_EQ(plan_sites(2).error().code, Code::InvalidArgument);
  EXPECT_EQ(plan_sites(25).error().code, Code::InvalidArgument);
}

TEST(DemoPlan, WritesConfigurationThatQuotesItsStrings) {
  SiteFile config;
  config.name = SiteId{"a"};
  config.listen = "127.0.0.1:8101";
  config.state_dir = "/tmp/with \"quote\" and \\";
  config.peer_addresses[SiteId{"b.c"}] = "127.0.0.1:9";
  const std::string text = render_site_file(config);
  EXPECT_NE(text.find("state_dir = \"/tmp/with \\\"quote\\\" and \\\\\""), std::string::npos);
  EXPECT_NE(text.find("[peers.addresses]\n\"b.c\" = \"127.0.0.1:9\"\n"), std::string::npos);
}

}  // namespace
}  // namespace perigee::demo
