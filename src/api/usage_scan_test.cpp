#include "api/usage_scan.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "base/random.h"

namespace perigee::api {
namespace {

const std::string kUsage =
    R"("usage":{"prompt_tokens":12,"total_tokens":52,"completion_tokens":40,)"
    R"("prompt_tokens_details":{"audio_tokens":null,"cached_tokens":3}})";

TEST(UsageScan, ReadsTheUsageOfAnAnswer) {
  const auto usage =
      scan_answer_usage(R"({"id":"x","choices":[{"message":{"content":"}"}}],)" + kUsage + "}");
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->prompt_tokens, 12u);
  EXPECT_EQ(usage->completion_tokens, 40u);
  EXPECT_EQ(usage->cached_tokens, 3u);
  EXPECT_EQ(scan_answer_usage(R"({"data":[]})")->prompt_tokens, 0u);
}

TEST(UsageScan, PassesOverSenselessUsage) {
  EXPECT_EQ(scan_answer_usage(R"({"usage":null})")->prompt_tokens, 0u);
  EXPECT_EQ(scan_answer_usage(R"({"usage":{"prompt_tokens":-4}})")->prompt_tokens, 0u);
  EXPECT_EQ(scan_answer_usage(R"({"usage":{"prompt_tokens":1e99}})")->prompt_tokens, 0u);
  EXPECT_EQ(scan_answer_usage(R"({"usage":{"prompt_tokens":"9"}})")->prompt_tokens, 0u);
  const auto odd = scan_answer_usage(
      R"({"usage":{"prompt_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}})");
  EXPECT_EQ(odd->cached_tokens, 2u);
}

TEST(UsageScan, RefusesDamagedAnswers) {
  for (const char* json :
       {"", "[]", "null", "<html>", R"({"a":1)", R"({"a":[}])", R"({"choices":[{]]})",
        R"({"a":1}{"b":2})", "{\"a\":\"\xFF\"}", R"({"usage":{"prompt_tokens":1,})"}) {
    EXPECT_FALSE(scan_answer_usage(json)) << json;
    EXPECT_FALSE(scan_chunk(json)) << json;
  }
}

TEST(UsageScan, ReadsALongAnswerOfEmbeddings) {
  std::string json = R"({"data":[{"embedding":[0)";
  while (json.size() < (std::size_t{3} << 20)) json += ",-0.0123456789";
  const auto usage = scan_answer_usage(json + "]}]," + kUsage + "}");
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->prompt_tokens, 12u);
}

TEST(ChunkScan, CountsTokens) {
  const auto tokens = [](const std::string& choice) {
    const auto facts =
        scan_chunk(R"({"object":"chat.completion.chunk","choices":[)" + choice + "]}");
    return facts ? static_cast<int>(facts->tokens) : -1;
  };
  EXPECT_EQ(tokens(R"({"index":0,"delta":{"role":"assistant","content":""}})"), 0);
  EXPECT_EQ(tokens(R"({"index":0,"delta":{"content":"a"},"logprobs":null})"), 1);
  EXPECT_EQ(tokens(R"({"delta":{"reasoning_content":"a"}},{"index":1,"delta":{"content":"b"}})"),
            2);
  EXPECT_EQ(tokens(R"({"delta":{"tool_calls":[{"index":0}]}})"), 1);
  EXPECT_EQ(
      tokens(R"({"delta":{"content":"ab"},"logprobs":{"content":[{"token":"a"},{"token":"b"}]}})"),
      2);
  EXPECT_EQ(tokens(R"({"text":"a","index":0})"), 1);
  EXPECT_EQ(tokens(R"({"text":"","finish_reason":"stop"})"), 0);
  EXPECT_EQ(tokens(R"({"delta":{},"finish_reason":"stop"})"), 0);
}

TEST(ChunkScan, CountsNothingThatIsEmpty) {
  const auto tokens = [](std::string_view delta) {
    return scan_chunk(R"({"choices":[{"delta":)" + std::string{delta} + "}]}")->tokens;
  };
  EXPECT_EQ(tokens(R"({"role":"assistant","content":"","tool_calls":[],"x":{},"y":null})"), 0U);
  EXPECT_EQ(tokens(R"({"tool_calls":[{"index":0}]})"), 1U);
  EXPECT_EQ(tokens(R"({"content":{"a":1}})"), 1U);
}

TEST(ChunkScan, KnowsTheUsageChunk) {
  EXPECT_TRUE(scan_chunk(R"({"choices":[],)" + kUsage + "}")->usage_only);
  EXPECT_FALSE(scan_chunk(R"({"choices":[{"delta":{}}],)" + kUsage + "}")->usage_only);
  EXPECT_TRUE(scan_chunk(R"({"choices":[{"delta":{}}],)" + kUsage + "}")->usage);
  const auto none = scan_chunk(R"({"choices":[],"usage":null})");
  EXPECT_FALSE(none->usage_only);
  EXPECT_FALSE(none->usage);
}

TEST(ChunkScan, KnowsAnErrorInAStream) {
  const auto facts = scan_chunk(R"({"error":{"message":"out of memory","type":"server_error"}})");
  ASSERT_TRUE(facts && facts->error);
  EXPECT_EQ(facts->error->message, "out of memory");
  EXPECT_TRUE(scan_chunk(R"({"object":"error","message":"m"})")->error);
  EXPECT_FALSE(scan_chunk(R"({"error":null,"choices":[]})")->error);
}

std::optional<std::string> text_of(const std::string& choices) {
  const std::string json = R"({"id":"x","choices":[)" + choices + "]}";
  const auto facts = scan_chunk(json);  // its text stands in `json`
  EXPECT_TRUE(facts) << choices;
  if (!facts || !facts->text) return std::nullopt;
  return std::string{*facts->text};
}

TEST(ChunkScan, TellsTheTextOfAChunkThatIsNothingElse) {
  EXPECT_EQ(text_of(R"({"index":0,"delta":{"role":"assistant","content":""}})"), "");
  EXPECT_EQ(text_of(R"({"index":0,"delta":{"role":"assistant","content":null}})"), "");
  EXPECT_EQ(text_of(R"({"index":0,"delta":{"content":"a\n\"b"},"finish_reason":null})"),
            R"(a\n\"b)");
  EXPECT_EQ(text_of(R"({"delta":{"content":"a","tool_calls":[],"refusal":null}})"), "a");
  EXPECT_EQ(text_of(R"({"index":0,"text":" b","logprobs":null})"), " b");
  EXPECT_EQ(text_of(""), "") << "usage, or nothing";
}

TEST(ChunkScan, TellsNoTextOfAChunkThatHasMore) {
  for (const char* choices :
       {R"({"delta":{"reasoning_content":"hm"}})", R"({"delta":{"content":"a","refusal":"no"}})",
        R"({"delta":{"tool_calls":[{"index":0}]}})", R"({"index":1,"delta":{"content":"a"}})",
        R"({"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}})",
        R"({"delta":{"content":[{"type":"text"}]}})", R"({"delta":{"content":"a"},"text":"b"})",
        R"({"delta":{"content":"a","content":"b"}})", R"({"delta":{"audio":{"id":"a"}}})", "7"}) {
    EXPECT_EQ(text_of(choices), std::nullopt) << choices;
  }
  EXPECT_FALSE(scan_chunk(R"({"a":1})")->text);
}

TEST(ChunkScan, KnowsTheEndOfTheText) {
  EXPECT_TRUE(scan_chunk(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})")->ends);
  EXPECT_FALSE(scan_chunk(R"({"choices":[{"delta":{},"finish_reason":null}]})")->ends);
}

TEST(ChunkScan, SaysWhereTheValuesStand) {
  const std::string json =
      R"({"id": "c-1" ,"created":17,"choices":[{"index":0,"delta":{"role":"a","content":"b"}}],)" +
      kUsage + "}";
  ChunkPlaces places;
  ASSERT_TRUE(scan_chunk(json, &places));
  const auto at = [&](BodySpan span) { return json.substr(span.offset, span.size); };
  EXPECT_EQ(at(places.id), R"("c-1")");
  EXPECT_EQ(at(places.created), "17");
  EXPECT_EQ(at(places.delta), R"({"role":"a","content":"b"})");
  EXPECT_TRUE(places.role);
  EXPECT_EQ(at(places.prompt_tokens), "12");
  EXPECT_EQ(at(places.completion_tokens), "40");
  EXPECT_EQ(at(places.total_tokens), "52");
  EXPECT_EQ(at(places.cached_tokens), "3");
  const std::string completion = R"({"choices":[{"text":"a","index":0}]})";
  ASSERT_TRUE(scan_chunk(completion, &places));
  EXPECT_EQ(completion.substr(places.text.offset, places.text.size), R"("a")");
}

TEST(ChunkScan, SurvivesRandomDamage) {
  const std::string seed =
      R"({"choices":[{"delta":{"content":"ab"},"logprobs":{"content":[{"token":"a"}]}}],)" +
      kUsage + R"(,"error":null})";
  constexpr std::string_view kBytes = "{}[]\",:\\u01 eE-.tfn\xFF";
  Random random{11};
  for (int round = 0; round < 40000; ++round) {
    std::string json = seed;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      json[random.below(json.size())] = kBytes[random.below(kBytes.size())];
    }
    if (random.below(4) == 0) json.resize(random.below(json.size()));
    const auto facts = scan_chunk(json);
    const auto usage = scan_answer_usage(json);
    if (facts) {
      EXPECT_LE(facts->tokens, 2u);
    }
    if (usage) {
      EXPECT_LE(usage->cached_tokens, usage->prompt_tokens);
    }
  }
}

}  // namespace
}  // namespace perigee::api
