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
  digest.models.push_back({ModelId{"perigee-demo"}, true, load});
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

TEST(Digest, RefusesWhatIsNotADigest) {
  for (const std::string_view text :
       {"", "[]", "{", R"({"site":"a"})", R"({"site":"A b","models":[]})",
        R"({"site":"a","models":{}})", R"({"site":"a","models":[1]})",
        R"({"site":"a","drained":1,"models":[]})", R"({"site":"a","revision":-1,"models":[]})",
        R"({"site":"a","models":[{"id":"m","ready":1,"load":""}]})",
        R"({"site":"a","models":[{"id":"m","ready":true,"load":"slots=-1"}]})"}) {
    EXPECT_FALSE(parse_digest(text)) << text;
  }
  EXPECT_FALSE(parse_digest(std::string(100'000, '[')));
}

}  // namespace
}  // namespace perigee
