#include "api/stream_field.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace perigee::api {
namespace {

std::string value_of(const std::string& line) {
  constexpr std::string_view kName = "perigee: ";
  EXPECT_TRUE(line.starts_with(kName) && line.ends_with('\n')) << line;
  return line.substr(kName.size(), line.size() - kName.size() - 1);
}

TEST(StreamField, ReadsBackTokenIds) {
  std::string line;
  append_event_line(line, {.token_ids = "12,345", .usage = {}, .load = {}});
  EXPECT_EQ(line, "perigee: ids=12,345\n");
  const std::string value = value_of(line);
  const auto field = parse_stream_field(value);
  ASSERT_TRUE(field);
  EXPECT_EQ(field->token_ids, "12,345");
  EXPECT_EQ(field->tokens, 2u);
}

TEST(StreamField, ReadsBackChoiceEndAndMore) {
  std::string line;
  append_event_line(
      line, {.choice = 3, .token_ids = "5", .ends = true, .more = true, .usage = {}, .load = {}});
  EXPECT_EQ(line, "perigee: choice=3 ids=5 end=1 more=1\n");
  const std::string value = value_of(line);
  const auto field = parse_stream_field(value);
  ASSERT_TRUE(field);
  EXPECT_EQ(field->choice, 3U);
  EXPECT_EQ(field->token_ids, "5");
  EXPECT_TRUE(field->ends);
  EXPECT_TRUE(field->more);
}

TEST(StreamField, ReadsBackUsageAndLoad) {
  std::string line;
  const EngineLoad load{.slots = 8, .slots_busy = 1};
  append_end_line(line, {.prompt_tokens = 12, .completion_tokens = 40, .cached_tokens = 3}, &load);
  const std::string value = value_of(line);
  const auto field = parse_stream_field(value);
  ASSERT_TRUE(field);
  EXPECT_EQ(field->usage->completion_tokens, 40u);
  EXPECT_EQ(field->load->slots, 8u);
  EXPECT_EQ(field->tokens, 0u);
}

TEST(StreamField, SaysNothingWhenThereIsNothing) {
  std::string line;
  append_event_line(line, {});
  EXPECT_EQ(line, "");
}

TEST(StreamField, IgnoresItemsOfANewerPeer) {
  const auto field = parse_stream_field("mood=good ids=7 x=");
  ASSERT_TRUE(field);
  EXPECT_EQ(field->tokens, 1u);
  EXPECT_TRUE(parse_stream_field(""));
}

TEST(StreamField, RefusesMalformedItems) {
  for (const char* value :
       {"ids=", "ids=1,", "ids=,1", "ids=-1", "ids=a", "ids=1 ids=2", "ids=99999999999", "usage=x",
        "usage=prompt=1,cached=2", "choice=", "choice=4096", "end=2", "more=", "load=slots=-1",
        "ids", "=1", "ids=1  usage=prompt=1"}) {
    EXPECT_FALSE(parse_stream_field(value)) << value;
  }
  std::string many = "ids=1";
  for (std::uint32_t i = 0; i < kTokenIdsMax; ++i) many += ",1";
  EXPECT_FALSE(parse_stream_field(many));
}

TEST(StreamField, NamesTheReceiptToSitesAndToClients) {
  std::string line;
  append_summed_end_line(line, Usage{1, 2, 0}, nullptr, "metro-berlin.12.9f860000", "[DONE]");
  const auto field = parse_stream_field(std::string_view{line}.substr(9, line.size() - 10));
  ASSERT_TRUE(field) << line;
  EXPECT_EQ(field->receipt, "metro-berlin.12.9f860000");
  EXPECT_TRUE(is_whole(*field, "[DONE]"));
  EXPECT_EQ(parse_stream_field("receipt=metro-berlin.12.9f860000")->receipt,
            "metro-berlin.12.9f860000");
  std::string comment;
  append_receipt_comment(comment, "");
  EXPECT_EQ(comment, "");
  append_receipt_comment(comment, "metro-berlin.12.9f860000");
  EXPECT_EQ(comment, ": perigee-receipt metro-berlin.12.9f860000\n\n");
  for (const std::string& bad : {std::string{}, std::string{"a\rb"}, std::string{"A.1"},
                                 std::string{"<script>"}, std::string(129, 'a')}) {
    EXPECT_FALSE(plain_receipt(bad)) << bad;
    EXPECT_FALSE(parse_stream_field("receipt=" + bad)) << bad;
  }
}

TEST(StreamField, SurvivesRandomText) {
  constexpr std::string_view kBytes = "ids=usagelod prompt,0123456789-. \0\xFF";
  Random random{3};
  for (int round = 0; round < 20000; ++round) {
    std::string value;
    for (std::uint64_t i = random.below(40); i > 0; --i)
      value += kBytes[random.below(kBytes.size())];
    const auto field = parse_stream_field(value);
    if (field) {
      EXPECT_EQ(field->tokens == 0, field->token_ids.empty());
    }
  }
}

TEST(StreamField, ItsSumHoldsTheLineToItsData) {
  std::string line;
  append_summed_event_line(line, {.choice = 1, .token_ids = "5,6", .usage = {}, .load = {}}, "{}");
  const std::string value = value_of(line);
  const auto field = parse_stream_field(value);
  ASSERT_TRUE(field);
  EXPECT_EQ(field->summed, "choice=1 ids=5,6");
  EXPECT_TRUE(is_whole(*field, "{}"));
  EXPECT_FALSE(is_whole(*field, "{ }"));
  std::string other = value;
  other[other.find('5')] = '7';
  EXPECT_FALSE(is_whole(*parse_stream_field(other), "{}"));
  EXPECT_FALSE(parse_stream_field(value + " ids=9")) << "nothing follows it";
}

TEST(StreamField, SumsWhatSaysNothingElse) {
  std::string line;
  append_summed_event_line(line, {}, "role");
  const std::string value = value_of(line);
  EXPECT_TRUE(is_whole(*parse_stream_field(value), "role"));
  EXPECT_FALSE(is_whole(*parse_stream_field(""), "role")) << "without a sum nothing is known";
}

TEST(StreamField, SaysWhyAnErrorIsARefusal) {
  std::string line;
  append_summed_error_line(line, "draining", "{}");
  const std::string value = value_of(line);
  const auto field = parse_stream_field(value);
  EXPECT_EQ(field->refused, "draining");
  EXPECT_TRUE(is_whole(*field, "{}"));
}

TEST(StreamField, SaysThatAnAnswerCanGoOnByItsText) {
  std::string line;
  StreamField field;
  field.text = true;
  append_event_line(line, field);
  EXPECT_EQ(line, "perigee: text=1\n");
  const auto parsed = parse_stream_field("text=1 end=1");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->text);
  EXPECT_TRUE(parsed->ends);
  EXPECT_FALSE(parse_stream_field("text=2"));
  EXPECT_FALSE(parse_stream_field("ids=1")->text);
}

}  // namespace
}  // namespace perigee::api
