#include "engine/llama/stop_matcher.h"

#include <gtest/gtest.h>

namespace perigee::llama {
namespace {

TEST(StopMatcher, PassesTextThatCannotBecomeAStopString) {
  StopMatcher matcher{{"STOP"}};
  EXPECT_EQ(matcher.push("hello "), "hello ");
  EXPECT_EQ(matcher.push("world"), "world");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, HoldsBackABeginningUntilItIsDecided) {
  StopMatcher matcher{{"STOP"}};
  EXPECT_EQ(matcher.push("aST"), "a");
  EXPECT_EQ(matcher.push("O"), "");
  EXPECT_EQ(matcher.push("x"), "STOx");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, EndsBeforeAStopStringThatSpansTokens) {
  StopMatcher matcher{{"never", "\n\n"}};
  EXPECT_EQ(matcher.push("one\n"), "one");
  EXPECT_EQ(matcher.push("\ntwo"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.push("three"), "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, TheEarliestOfSeveralWins) {
  StopMatcher matcher{{"cd", "bc"}};
  EXPECT_EQ(matcher.push("abcd"), "a");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, FlushGivesWhatWasHeldBack) {
  StopMatcher matcher{{"STOP"}};
  EXPECT_EQ(matcher.push("ST"), "");
  EXPECT_EQ(matcher.flush(), "ST");
}

TEST(StopMatcher, NeverSplitsACharacter) {
  StopMatcher matcher{{}};
  EXPECT_EQ(matcher.push("\xE4"), "");
  EXPECT_EQ(matcher.push("\xB8"), "");
  EXPECT_EQ(matcher.push("\xAD!"), "\xE4\xB8\xAD!");
  EXPECT_EQ(matcher.push("\xF0\x9F"), "");
  EXPECT_EQ(matcher.flush(), "\xEF\xBF\xBD");
}

TEST(StopMatcher, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(valid_utf8("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(valid_utf8("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(valid_utf8("\xC3\xA9"), "\xC3\xA9");
}

TEST(StopMatcher, ReplayShowsTheSameTextAfterEachToken) {
  const std::vector<std::string> pieces = {"ab", "\n", "\xC3", "\xA9", "\n\n", "x"};
  StopMatcher first{{"\n\nx"}};
  StopMatcher second{{"\n\nx"}};
  for (const std::string& piece : pieces) EXPECT_EQ(first.push(piece), second.push(piece));
}

TEST(StopMatcher, CharactersAreCountedWhereTheyBegin) {
  EXPECT_EQ(characters(""), 0U);
  EXPECT_EQ(characters("a\u00e9\u20ac\U0001F600"), 4U);
  EXPECT_EQ(characters("\u00e9\xE2\x82"), 2U);
  EXPECT_EQ(characters("\xAC"), 0U);
}

}  // namespace
}  // namespace perigee::llama
