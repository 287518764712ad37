#include "engine/llama/stream_table.h"

#include <gtest/gtest.h>

#include <numeric>

namespace perigee::llama {
namespace {

std::vector<Token> prompt(std::uint32_t size, Token first = 0) {
  std::vector<Token> tokens(size);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::uint32_t run(StreamTable& table, const std::string& salt, const std::vector<Token>& tokens) {
  const auto placement = table.place(salt, tokens);
  EXPECT_TRUE(placement);
  for (std::size_t i = placement->reused; i < tokens.size(); ++i) {
    table.append(placement->stream, tokens[i]);
  }
  return placement->stream;
}

TEST(StreamTable, ReusesAFinishedPrefixInPlaceUpToTheLastToken) {
  StreamTable table{2};
  const std::uint32_t stream = run(table, "a", prompt(40));
  EXPECT_TRUE(table.release(stream, true));
  const auto again = table.place("a", prompt(40));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->stream, stream);
  EXPECT_EQ(again->reused, 39U);
  EXPECT_FALSE(again->copy_from);
}

TEST(StreamTable, FindsNothingUnderAnotherSaltOrNone) {
  StreamTable table{4};
  table.release(run(table, "a", prompt(40)), true);
  EXPECT_EQ(table.place("b", prompt(40))->reused, 0U);
  EXPECT_EQ(table.place("", prompt(40))->reused, 0U);
  EXPECT_FALSE(table.release(run(table, "", prompt(40)), true));
}

TEST(StreamTable, CopiesFromARunningStream) {
  StreamTable table{2};
  const std::uint32_t stream = run(table, "a", prompt(40));
  const auto second = table.place("a", prompt(30));
  ASSERT_TRUE(second && second->copy_from);
  EXPECT_EQ(*second->copy_from, stream);
  EXPECT_NE(second->stream, stream);
  EXPECT_EQ(second->reused, 29U);
  EXPECT_FALSE(table.place("a", prompt(30)));  // all streams run
}

TEST(StreamTable, KeepsALongPrefixWhenAShortPartOfItIsAskedFor) {
  StreamTable table{3};
  const std::uint32_t stream = run(table, "a", prompt(100));
  table.release(stream, true);
  const auto second = table.place("a", prompt(20));
  ASSERT_TRUE(second && second->copy_from);
  EXPECT_EQ(*second->copy_from, stream);
}

TEST(StreamTable, EvictsTheLeastRecentlyUsedPrefix) {
  StreamTable table{2};
  const std::uint32_t first = run(table, "a", prompt(40));
  const std::uint32_t second = run(table, "a", prompt(40, 500));
  table.release(second, true);
  table.release(first, true);
  EXPECT_EQ(run(table, "a", prompt(40, 900)), second);
}

TEST(StreamTable, CountsTokensByState) {
  StreamTable table{2};
  const std::uint32_t stream = run(table, "a", prompt(40));
  EXPECT_EQ(table.running_tokens(), 40U);
  table.release(stream, true);
  EXPECT_EQ(table.running_tokens(), 0U);
  EXPECT_EQ(table.cached_tokens(), 40U);
}

}  // namespace
}  // namespace perigee::llama
