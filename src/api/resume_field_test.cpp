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

TEST(ResumeField, ReadsBackAText) {
  Delivered delivered;
  delivered.add_text(R"(Hello,\n\"w)", 4);
  delivered.name_text(R"("chatcmpl-7")", "1700");
  const std::string json = resume_json(delivered);
  EXPECT_EQ(json, R"({"text":"Hello,\n\"w","tokens":4,"id":"chatcmpl-7","created":1700})");
  const auto back = parse_resume(json);
  ASSERT_TRUE(back && back->text() != nullptr);
  EXPECT_EQ(resume_json(*back), json);
  EXPECT_EQ(back->tokens(), 4U);
  delivered.finish(0);
  EXPECT_TRUE(parse_resume(resume_json(delivered))->text()->finished);
  const auto bare = parse_resume(R"( {"new":[{}],"tokens":1,"text":""} )");
  ASSERT_TRUE(bare && bare->text() != nullptr) << "what a newer site adds is ignored";
  EXPECT_EQ(bare->text()->id, "");
  EXPECT_EQ(parse_resume(R"({"text":"a","id":null,"created":{}})")->text()->created, "");
}

TEST(ResumeField, IsNoArrayWhenItIsATextSoThatTheVersionBeforeRefusesIt) {
  // That version takes an array of objects, and passes over members of them that it does not know.
  Delivered delivered;
  delivered.add_text("a", 1);
  EXPECT_TRUE(resume_json(delivered).starts_with('{'));
}

TEST(ResumeField, RefusesATextThatIsMalformed) {
  for (const char* bad :
       {R"({"tokens":1})", R"({"text":1})", R"({"text":"a"} x)", R"({"text":"a","tokens":2000000})",
        R"({"text":"a)", R"({"text":"a","tokens":1,"end":true}])"}) {
    const auto parsed = parse_resume(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().param, "perigee_resume");
  }
  EXPECT_FALSE(
      parse_resume(R"({"text":")" + std::string(Delivered::kTextBytesMax + 1, 'a') + "\"}"));
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
