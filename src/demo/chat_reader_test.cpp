#include "demo/chat_reader.h"

#include <gtest/gtest.h>

namespace perigee::demo {
namespace {

constexpr std::string_view kStream =
    ": keep-alive\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"id\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n"
    "data: [DONE]\n\n";

TEST(ChatReader, ReadsTextUsageAndReasonHoweverTheBytesAreCut) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, kStream.size()}) {
    ChatReader reader;
    std::string seen;
    for (std::size_t at = 0; at < kStream.size(); at += step) {
      ASSERT_TRUE(reader.feed(kStream.substr(at, step), [&](std::string_view t) { seen += t; }));
    }
    const auto answer = reader.finish();
    ASSERT_TRUE(answer);
    EXPECT_EQ(seen, "Grid");
    EXPECT_EQ(answer->text, "Grid");
    EXPECT_EQ(answer->finish_reason, "stop");
    EXPECT_EQ(answer->prompt_tokens, 9U);
    EXPECT_EQ(answer->completion_tokens, 2U);
  }
}

TEST(ChatReader, TellsACutStreamFromAnEndedOne) {
  ChatReader reader;
  ASSERT_TRUE(reader.feed(kStream.substr(0, kStream.find("data: [DONE]")), [](auto) {}));
  EXPECT_EQ(reader.finish().error().code, Code::Unavailable);
}

TEST(ChatReader, GivesBackAnErrorEvent) {
  ChatReader reader;
  const auto fed = reader.feed(
      "data: {\"error\":{\"message\":\"the engine stopped\",\"type\":\"server_error\"}}\n\n",
      [](auto) {});
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().message, "the engine stopped");
}

TEST(ChatReader, RefusesWhatIsNoJson) {
  ChatReader reader;
  EXPECT_EQ(reader.feed("data: <html>\n\n", [](auto) {}).error().code, Code::Protocol);
}

TEST(ChatReader, WritesABodyThatAsksForAStreamWithUsage) {
  const std::string body = chat_body({"m", {{"user", "say \"hi\""}}, 5, 0});
  EXPECT_EQ(body,
            R"({"model":"m","messages":[{"role":"user","content":"say \"hi\""}],"stream":true,)"
            R"("stream_options":{"include_usage":true},"temperature":0E0,"max_tokens":5})");
}

}  // namespace
}  // namespace perigee::demo
