#include "engine/openai/continued_stream.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using Verdict = ContinuedStream::Verdict;

constexpr const char* kLong = "The text that the client has, all of it.";

std::string all(TextSeam seam, const std::vector<std::string>& pieces) {
  std::string shown;
  for (const std::string& piece : pieces) shown += seam.show(piece);
  return shown + seam.finish();
}

TEST(TextSeam, ShowsWhatIsNew) {
  EXPECT_EQ(all({kLong, ""}, {" And", " more"}), " And more");
  EXPECT_EQ(all({kLong, ""}, {"", ""}), "");
}

TEST(TextSeam, TakesOffTheSpaceThatTheClientHasAlready) {
  EXPECT_EQ(all({kLong, "\n\n"}, {"\n", "\n- one"}), "- one");
  EXPECT_EQ(all({kLong, "\n\n"}, {"\n- one", "\n- two"}), "- one\n- two");
  EXPECT_EQ(all({kLong, " "}, {"one", " two"}), "one two");
  EXPECT_EQ(all({kLong, " "}, {"  one"}), " one");
}

TEST(TextSeam, TakesOffATextThatIsRepeatedInWhateverPieces) {
  const std::string text = kLong;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(all({kLong, ""}, {text.substr(0, cut), text.substr(cut) + " And", " more"}),
              " And more");
    EXPECT_EQ(all({kLong, " "}, {text.substr(0, cut), text.substr(cut), " And"}), "And");
  }
}

TEST(TextSeam, LosesNothingThatOnlyBeginsLikeIt) {
  const std::string text = kLong;
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    const std::string begins = text.substr(0, cut);
    EXPECT_EQ(all({kLong, ""}, {begins, "#"}), begins + "#");
    EXPECT_EQ(all({kLong, ""}, {begins}), begins) << "the end came";
  }
  EXPECT_EQ(all({"ha ha ", ""}, {"ha ha ", "ha!"}), "ha ha ha!") << "too short to be a sign";
}

Delivered::Text before(std::string text = "x", std::uint32_t tokens = 5) {
  Delivered::Text delivered;
  delivered.text = std::move(text);
  delivered.id = R"("chatcmpl-first")";
  delivered.created = "1700";
  delivered.tokens = tokens;
  return delivered;
}

struct Taken {
  Verdict verdict = Verdict::Show;
  std::string json;
  std::optional<std::string> text;
  std::uint32_t tokens = 0;
};

Taken take(ContinuedStream& stream, const std::string& json) {
  api::ChunkPlaces places;
  const auto facts = api::scan_chunk(json, &places);
  EXPECT_TRUE(facts) << json;
  Chunk chunk;
  chunk.json = json;
  chunk.tokens = facts->tokens;
  Taken taken;
  taken.verdict = stream.take(chunk, *facts, places);
  taken.json = chunk.json;
  if (chunk.text) taken.text = std::string{*chunk.text};
  taken.tokens = chunk.tokens;
  return taken;
}

std::unique_ptr<TextSeam> seam(std::string sent = kLong, std::string space = "") {
  return std::make_unique<TextSeam>(std::move(sent), std::move(space));
}

TEST(ContinuedStream, GivesChunksTheIdAndTheDateOfTheAnswerAndLeavesTheRest) {
  ContinuedStream stream{before(), seam()};
  const Taken taken =
      take(stream, R"({"id": "other", "x":{"id":1},"created":18,"choices":[{"index":0,)"
                   R"("delta":{"content":" a","y":null},"finish_reason":null}]})");
  EXPECT_EQ(taken.json,
            R"({"id": "chatcmpl-first", "x":{"id":1},"created":1700,"choices":[{"index":0,)"
            R"("delta":{"content":" a","y":null},"finish_reason":null}]})");
  EXPECT_EQ(taken.text, " a");
  EXPECT_EQ(taken.tokens, 1U);
  const std::string same = R"({"id":"chatcmpl-first","created":1700,"choices":[{"text":"b"}]})";
  EXPECT_EQ(take(stream, same).json, same);
}

TEST(ContinuedStream, DropsTheRoleThatTheClientHas) {
  ContinuedStream stream{before(), seam()};
  EXPECT_EQ(take(stream, R"({"choices":[{"delta":{"role":"assistant","content":""}}]})").verdict,
            Verdict::Drop);
  EXPECT_EQ(take(stream, R"({"choices":[{"delta":{"role":"assistant","content":"a"}}]})").json,
            R"({"choices":[{"delta":{"content":"a"}}]})");
  ContinuedStream ours{before(), nullptr};
  EXPECT_EQ(take(ours, R"({"choices":[{"delta":{"role":"assistant","content":""}}]})").verdict,
            Verdict::Drop);
}

TEST(ContinuedStream, TakesOffARepeatedTextAndCountsItNot) {
  ContinuedStream stream{before(), seam(kLong, " ")};
  const std::string begin = std::string{kLong}.substr(0, 20);
  const std::string rest = std::string{kLong}.substr(20);
  const auto said = [](const std::string& text) {
    return R"({"choices":[{"delta":{"content":")" + text + R"("}}]})";
  };
  EXPECT_EQ(take(stream, said(begin)).verdict, Verdict::Drop);
  EXPECT_TRUE(stream.holds());
  const Taken taken = take(stream, said(rest + " now\\n"));
  EXPECT_EQ(taken.json, said("now\\n"));
  EXPECT_EQ(taken.text, R"(now\n)");
  EXPECT_EQ(taken.tokens, 1U);
  EXPECT_FALSE(stream.holds());
}

TEST(ContinuedStream, HandsOnWhatOnlyBeganLikeARepetition) {
  ContinuedStream stream{before(), seam()};
  EXPECT_EQ(take(stream, R"({"choices":[{"index":0,"text":"The "}]})").verdict, Verdict::Drop);
  EXPECT_EQ(take(stream, R"({"choices":[{"index":0,"text":"text"}]})").verdict, Verdict::Drop);
  const Taken taken = take(stream, R"({"choices":[{"index":0,"text":" is"}]})");
  EXPECT_EQ(taken.json, R"({"choices":[{"index":0,"text":"The text is"}]})");
  EXPECT_EQ(taken.tokens, 3U);
}

TEST(ContinuedStream, HandsOnWhatIsHeldBackWhenTheAnswerEnds) {
  ContinuedStream stream{before(), seam()};
  EXPECT_EQ(take(stream, R"({"choices":[{"delta":{"content":"The"}}]})").verdict, Verdict::Drop);
  EXPECT_EQ(take(stream, R"({"choices":[{"delta":{},"finish_reason":"stop"}]})").json,
            R"({"choices":[{"delta":{"content":"The"},"finish_reason":"stop"}]})");
  ContinuedStream silent{before(), seam()};  // nowhere to put it
  take(silent, R"({"choices":[{"delta":{"content":"The"}}]})");
  EXPECT_EQ(take(silent, R"({"choices":[{"index":0,"finish_reason":"stop"}]})").verdict,
            Verdict::Broken);
  ContinuedStream calls{before(), seam()};
  take(calls, R"({"choices":[{"delta":{"content":"The"}}]})");
  EXPECT_EQ(take(calls, R"({"choices":[{"delta":{"tool_calls":[{}]}}]})").verdict, Verdict::Broken);
}

TEST(ContinuedStream, SaysNoTextOfAChunkThatHasMore) {
  ContinuedStream stream{before(), seam()};
  const Taken taken = take(stream, R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})");
  EXPECT_EQ(taken.verdict, Verdict::Show);
  EXPECT_EQ(taken.text, std::nullopt);
}

TEST(ContinuedStream, MakesTheUsageThatOfOneRequest) {
  ContinuedStream stream{before(), seam()};
  const Taken taken =
      take(stream, R"({"id":"other","choices":[],"usage":{"prompt_tokens":25,"total_tokens":32,)"
                   R"("completion_tokens":7,"prompt_tokens_details":{"cached_tokens":24}}})");
  EXPECT_EQ(taken.json,
            R"({"id":"chatcmpl-first","choices":[],"usage":{"prompt_tokens":20,"total_tokens":32,)"
            R"("completion_tokens":12,"prompt_tokens_details":{"cached_tokens":20}}})");
  const Usage whole = stream.whole({25, 7, 24});
  EXPECT_EQ(whole.prompt_tokens, 20U);
  EXPECT_EQ(whole.completion_tokens, 12U);
  EXPECT_EQ(whole.cached_tokens, 20U);
  EXPECT_EQ(stream.whole({3, 7, 0}).prompt_tokens, 1U) << "a server that counts otherwise";
  EXPECT_EQ(stream.whole({0, 0, 0}).completion_tokens, 0U) << "it reported none";
  stream.count_as_answer(0);
  EXPECT_EQ(stream.whole({25, 7, 0}).prompt_tokens, 25U);
  ContinuedStream ours{before(), nullptr};
  EXPECT_EQ(ours.whole({25, 12, 0}).prompt_tokens, 25U) << "it counts so itself";
}

TEST(ContinuedStream, ShowsHalfACharacterAsItCame) {
  ContinuedStream stream{before(), seam()};
  take(stream, R"({"choices":[{"index":0,"text":"The"}]})");
  EXPECT_EQ(take(stream, R"({"choices":[{"index":0,"text":"\ud83d"}]})").json,
            R"({"choices":[{"index":0,"text":"The\ud83d"}]})");
}

}  // namespace
}  // namespace perigee
