#include "base/random.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace perigee {
namespace {

TEST(Random, GivesTheSameSequenceForTheSameSeed) {
  Random a{42};
  Random b{42};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(Random{1}.next(), Random{2}.next());
}

TEST(Random, BelowIsEvenWithinItsBound) {
  Random random{7};
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) ++counts.at(random.below(10));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Random, UniformStaysInItsRange) {
  Random random{7};
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.01);
}

TEST(Hex, WritesSixteenDigitsTheHighestFirst) {
  std::string text(kHexDigits64, '?');
  write_hex(0x0123456789abcdef, text.data());
  EXPECT_EQ(text, "0123456789abcdef");
  write_hex(10, text.data());
  EXPECT_EQ(text, "000000000000000a");
}

}  // namespace
}  // namespace perigee
