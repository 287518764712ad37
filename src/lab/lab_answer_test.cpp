#include "lab/lab_answer.h"

#include <gtest/gtest.h>

namespace perigee::lab {
namespace {

constexpr const char* kHello =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"Bye\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n"
    "data: [DONE]\n\n";

TEST(AnswerReader, ReadsTwoChoicesOfAStream) {
  LabAnswer answer;
  AnswerReader reader{answer, 2};
  ASSERT_TRUE(reader.feed(kHello, Instant{seconds{1}}));
  ASSERT_TRUE(reader.finish());
  EXPECT_EQ(answer.choices[0].text, "Hello");
  EXPECT_EQ(answer.choices[1].finish, "length");
  EXPECT_EQ(answer.usage->completion_tokens, 4U);
  EXPECT_EQ(answer.texts.size(), 3U);
}

TEST(AnswerReader, RefusesAStreamThatIsNotWhole) {
  const std::string whole = kHello;
  struct Case {
    std::string text;
    const char* why;
  };
  const std::string no_end = whole.substr(0, whole.size() - 14);
  std::string twice = whole;
  twice.replace(twice.find("\"length\""), 8,
                "\"stop\"}]}\n\ndata: {\"choices\":[{\"index\":1,"
                "\"delta\":{\"content\":\"more\"},"
                "\"finish_reason\":\"stop\"");
  const std::string error = no_end + "data: {\"error\":{\"message\":\"gone\"}}\n\n";
  for (const Case& c :
       {Case{no_end, "without [DONE]"}, Case{twice, "ended twice"}, Case{error, "gone"},
        Case{whole + "data: {}\n\n", "after [DONE]"}, Case{"data: {\"choices\n\n", "no JSON"}}) {
    LabAnswer answer;
    AnswerReader reader{answer, 2};
    auto read = reader.feed(c.text, Instant{});
    if (read) read = reader.finish();
    ASSERT_FALSE(read) << c.why;
    EXPECT_NE(read.error().message.find(c.why), std::string::npos) << read.error().message;
  }
}

TEST(AnswerReader, KeepsTheBytesOfTokens) {
  LabAnswer answer;
  AnswerReader reader{answer, 1};
  ASSERT_TRUE(reader.read_whole(
      "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\","
      "\"logprobs\":{\"content\":[{\"token\":\"Hi\",\"logprob\":-0.5,\"bytes\":[72,105]}]}}],"
      "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}"));
  ASSERT_EQ(answer.choices[0].tokens.size(), 1U);
  EXPECT_EQ(answer.choices[0].tokens[0].bytes, "Hi");
  EXPECT_EQ(answer.choices[0].tokens[0].logprob, -0.5);
}

}  // namespace
}  // namespace perigee::lab
