#include "api/resume_field.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace perigee::api {
namespace {

TEST(ResumeField, ReadsBackEveryKindOfChoice) {
  Delivered delivered;
  ASSERT_TRUE(delivered.add(0, "12,345"));
  ASSERT_TRUE(delivered.add(2, "7,8,9"));
  ASSERT_TRUE(delivered.finish(2));
  ASSERT_TRUE(delivered.add(3, "0"));
  const std::string json = resume_json(delivered);
  EXPECT_EQ(json, R"([{"ids":"12,345"},{},{"tokens":3,"end":true},{"ids":"0"}])");
  const auto back = parse_resume(json);
  ASSERT_TRUE(back);
  EXPECT_EQ(resume_json(*back), json);
  EXPECT_EQ(back->tokens(), 6U);
}

TEST(ResumeField, IsEmptyWhenNothingWasDelivered) {
  EXPECT_EQ(resume_json(Delivered{}), "[]");
  ASSERT_TRUE(parse_resume(" [ ] "));
  EXPECT_TRUE(parse_resume("[{}]")->empty());
}

TEST(ResumeField, IgnoresWhatANewerSiteAdds) {
  const auto parsed = parse_resume(R"([{"ids":"1","mood":{"a":[1]}}])");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->tokens(), 1U);
}

TEST(ResumeField, RefusesWhatIsMalformed) {
  for (const char* bad : {"", "{}", "1", "[1]", R"([{"ids":"1,"}])", R"([{"ids":"a"}])",
                          R"([{"ids":"1"}] x)", R"([{"ids":"-1"}])",
                          R"([{"tokens":2000000,"end":true}])", R"([{"ids":"1"},)", "[[[[[[[[["}) {
    const auto parsed = parse_resume(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().param, "perigee_resume");
  }
  std::string many = "[{}";
  for (std::uint32_t i = 0; i < Delivered::kChoicesMax; ++i) many += R"(,{"ids":"1"})";
  EXPECT_FALSE(parse_resume(many + "]"));
}

TEST(ResumeField, SurvivesRandomText) {
  constexpr std::string_view kBytes = "[]{}\"ids tokens end:true,0123456789-\\u\xC3\xA9";
  Random random{9};
  for (int round = 0; round < 20'000; ++round) {
    std::string text = "[{\"ids\":\"";
    for (std::uint64_t i = random.below(40); i > 0; --i)
      text += kBytes[random.below(kBytes.size())];
    const auto parsed = parse_resume(text);
    if (parsed) {
      EXPECT_TRUE(parsed->complete());
    }
  }
}

}  // namespace
}  // namespace perigee::api
