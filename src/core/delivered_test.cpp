#include "core/delivered.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

std::vector<std::int32_t> tokens_of(const Delivered::Choice& choice) {
  std::vector<std::int32_t> all;
  choice.tokens.for_each([&](std::int32_t token) { all.push_back(token); });
  return all;
}

TEST(Delivered, KeepsTokensOfEveryWidth) {
  Delivered delivered;
  EXPECT_TRUE(delivered.empty());
  EXPECT_TRUE(delivered.add(0, "0,127,128,16383,16384,2097152,2147483647"));
  EXPECT_TRUE(delivered.add(0, "5"));
  ASSERT_EQ(delivered.choices().size(), 1U);
  EXPECT_EQ(tokens_of(delivered.choices()[0]),
            (std::vector<std::int32_t>{0, 127, 128, 16383, 16384, 2097152, 2147483647, 5}));
  EXPECT_EQ(delivered.tokens(), 8U);
  EXPECT_FALSE(delivered.empty());
}

TEST(Delivered, ForgetsTheTokensOfAFinishedChoiceButNotTheirNumber) {
  Delivered delivered;
  EXPECT_TRUE(delivered.add(1, "7,8"));
  EXPECT_TRUE(delivered.finish(1));
  EXPECT_TRUE(delivered.add(0, "9"));
  EXPECT_TRUE(tokens_of(delivered.choices()[1]).empty());
  EXPECT_EQ(delivered.choices()[1].tokens.size(), 2U);
  EXPECT_TRUE(delivered.choices()[1].finished);
  EXPECT_TRUE(delivered.complete());
}

TEST(Delivered, SaysWhenItLostTrack) {
  for (const char* bad : {"", "1,", ",1", "a", "-1", "1,,2", "99999999999"}) {
    Delivered delivered;
    EXPECT_FALSE(delivered.add(0, bad)) << bad;
    EXPECT_FALSE(delivered.complete()) << bad;
    EXPECT_FALSE(delivered.empty());
  }
  Delivered finished;
  EXPECT_TRUE(finished.finish(0, 3));
  EXPECT_FALSE(finished.add(0, "1")) << "after its end";
  Delivered many;
  EXPECT_FALSE(many.add(Delivered::kChoicesMax, "1"));
  Delivered long_one;
  EXPECT_FALSE(long_one.finish(0, Delivered::kTokensMax + 1));
}

TEST(Delivered, KeepsTheTextOfAnAnswerWhoseTokensNobodyTells) {
  Delivered delivered;
  EXPECT_TRUE(delivered.add_text("", 0)) << "the role";
  delivered.name_text("\"chatcmpl-1\"", "170");
  EXPECT_FALSE(delivered.empty());
  EXPECT_TRUE(delivered.add_text("Hel", 1));
  EXPECT_TRUE(delivered.add_text("lo\\n", 2));
  delivered.name_text("\"chatcmpl-2\"", "180");
  ASSERT_NE(delivered.text(), nullptr);
  EXPECT_EQ(delivered.text()->text, "Hello\\n");
  EXPECT_EQ(delivered.text()->tokens, 3U);
  EXPECT_EQ(delivered.text()->id, "\"chatcmpl-1\"") << "the first one stays";
  EXPECT_EQ(delivered.text()->created, "170");
  EXPECT_EQ(delivered.tokens(), 3U);
  EXPECT_TRUE(delivered.complete());
  const Delivered copy = delivered;
  EXPECT_TRUE(delivered.add_text("!", 1));
  EXPECT_EQ(copy.text()->text, "Hello\\n") << "a copy does not grow";
}

TEST(Delivered, KnowsWhatWasToldBehindTheEndOfATextToo) {
  Delivered delivered;
  delivered.add_text("a", 1);
  EXPECT_TRUE(delivered.finish(0));
  EXPECT_TRUE(delivered.text()->finished);
  EXPECT_FALSE(delivered.text()->told);
  EXPECT_TRUE(delivered.add_text("", 0));
  EXPECT_TRUE(delivered.finish(0));
  EXPECT_TRUE(delivered.text()->told);
  EXPECT_FALSE(delivered.add_text("b", 1)) << "after its end";
  EXPECT_FALSE(delivered.complete());
  EXPECT_EQ(delivered.text(), nullptr) << "of no use any more";
}

TEST(Delivered, IsKnownByTokensOrByTextAndNotByBoth) {
  Delivered tokens_first;
  tokens_first.add(0, "1");
  EXPECT_FALSE(tokens_first.add_text("a", 1));
  EXPECT_FALSE(tokens_first.complete());
  Delivered text_first;
  text_first.add_text("a", 1);
  EXPECT_FALSE(text_first.add(0, "1"));
  EXPECT_FALSE(text_first.complete());
}

TEST(Delivered, KeepsNoMoreTextThanItMay) {
  Delivered delivered;
  EXPECT_TRUE(delivered.add_text(std::string(Delivered::kTextBytesMax, 'a'), 1));
  EXPECT_TRUE(delivered.add_text("", 1));
  EXPECT_FALSE(delivered.add_text("a", 1));
  EXPECT_FALSE(delivered.complete());
  Delivered many;
  EXPECT_FALSE(many.add_text("a", Delivered::kTokensMax + 1));
  Delivered named;
  named.add_text("a", 1);
  named.name_text(std::string(Delivered::kNameBytesMax + 1, 'x'), "1");
  EXPECT_EQ(named.text()->id, "");
}

}  // namespace
}  // namespace perigee
