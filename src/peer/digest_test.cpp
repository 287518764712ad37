#include "peer/digest.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

Digest sample() {
  Digest digest;
  digest.site = SiteId{"metro-berlin"};
  digest.revision = 7;
  digest.drained = true;
  EngineLoad load;
  load.slots = 8;
  load.slots_busy = 3;
  load.queued_tokens = 120;
  digest.models.push_back({.model = ModelId{"perigee-demo"}, .ready = true, .load = load});
  return digest;
}

TEST(Digest, RoundTripsThroughJson) {
  auto parsed = parse_digest(digest_json(sample()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->site, SiteId{"metro-berlin"});
  EXPECT_EQ(parsed->revision, 7U);
  EXPECT_TRUE(parsed->drained);
  ASSERT_EQ(parsed->models.size(), 1U);
  EXPECT_EQ(parsed->models[0].load.slots_busy, 3U);
  EXPECT_EQ(parsed->models[0].load.queued_tokens, 120U);
}

TEST(Digest, IgnoresWhatANewerPeerAdds) {
  EXPECT_TRUE(parse_digest(R"({"site":"a","models":[],"weather":"fine"})"));
}

TEST(Digest, TellsWhatTheSiteCanDoAndWhatItHolds) {
  Digest digest = sample();
  digest.reserved_share = 0.25;
  digest.power_share = 0.5;
  digest.holds = PrefixVersions{{ModelId{"org/m"}, 18'446'744'073'709'551'615U}};
  ModelDigest& model = digest.models[0];
  model.engines = 3;
  model.capabilities = kGuidedOutput | kEmbeddings;
  model.context_tokens = 4096;
  model.price_micros_per_mtok = 250'000;
  PrefixFilter filter{100};
  filter.insert(42);
  model.prefix_version = 9;
  model.prefixes = std::make_shared<const PrefixFilter>(filter);
  auto parsed = parse_digest(digest_json(digest));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->reserved_share, 0.25);
  EXPECT_EQ(parsed->power_share, 0.5);
  EXPECT_EQ(parsed->holds, digest.holds);
  const ModelDigest& read = parsed->models.at(0);
  EXPECT_EQ(read.engines, 3U);
  EXPECT_EQ(read.capabilities, kGuidedOutput | kEmbeddings);
  EXPECT_EQ(read.context_tokens, 4096U);
  EXPECT_EQ(read.price_micros_per_mtok, 250'000);
  EXPECT_EQ(read.prefix_version, 9U);
  ASSERT_NE(read.prefixes, nullptr);
  EXPECT_EQ(*read.prefixes, filter);
}

TEST(Digest, AnOlderPeersSilenceExcludesNothingAndAsksForNoFilter) {
  auto parsed = parse_digest(R"({"site":"a","models":[{"id":"m","ready":true,"load":""}]})");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->models[0].capabilities, kEverything);
  EXPECT_EQ(parsed->models[0].engines, 1U);
  EXPECT_EQ(parsed->power_share, 1);
  EXPECT_FALSE(parsed->holds);
}

TEST(Digest, IgnoresAFilterOfAnotherVersion) {
  auto parsed = parse_digest(R"({"site":"a","models":[{"id":"m","ready":true,"load":"",)"
                             R"("prefix_version":1,"prefixes":"UEYC"}]})");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->models[0].prefixes, nullptr);
}

TEST(Digest, TellsAFilterOnlyToWhoLacksItAndOnlySoMuchAtOnce) {
  Digest own = sample();
  const auto filter = std::make_shared<const PrefixFilter>(PrefixFilter{65'536});  // 85 KiB as JSON
  own.models.clear();
  for (const std::string name : {"a", "b", "c", "d", "e"}) {
    own.models.push_back(
        {.model = ModelId{name}, .ready = true, .prefix_version = 7, .prefixes = filter});
  }
  const auto told = [&](const std::optional<PrefixVersions>& held) {
    std::string names;
    for (const ModelDigest& model : without_known_filters(own, held).models) {
      EXPECT_EQ(model.prefix_version, 7U);
      if (model.prefixes != nullptr) names += model.model.str();
    }
    return names;
  };
  EXPECT_EQ(told(std::nullopt), "");
  EXPECT_EQ(told(PrefixVersions{}), "ab");
  const PrefixVersions held{{ModelId{"a"}, 7}, {ModelId{"b"}, 6}, {ModelId{"c"}, 7}};
  EXPECT_EQ(told(held), "bd");
}

TEST(Digest, RefusesWhatIsNotADigest) {
  for (const std::string_view text :
       {"", "[]", "{", R"({"site":"a"})", R"({"site":"A b","models":[]})",
        R"({"site":"a","models":{}})", R"({"site":"a","models":[1]})",
        R"({"site":"a","drained":1,"models":[]})", R"({"site":"a","revision":-1,"models":[]})",
        R"({"site":"a","models":[{"id":"m","ready":1,"load":""}]})",
        R"({"site":"a","models":[{"id":"m","ready":true,"load":"slots=-1"}]})",
        R"({"site":"a","models":[{"id":"m","ready":true,"load":"","engines":0}]})",
        R"({"site":"a","models":[{"id":"m","ready":true,"load":"","capabilities":1}]})",
        R"({"site":"a","models":[{"id":"m","ready":true,"load":"","prefixes":"?"}]})",
        R"({"site":"a","power_share":2,"models":[]})", R"({"site":"a","holds":[],"models":[]})"}) {
    EXPECT_FALSE(parse_digest(text)) << text;
  }
  EXPECT_FALSE(parse_digest(std::string(100'000, '[')));
}

}  // namespace
}  // namespace perigee
