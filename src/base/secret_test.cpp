#include "base/secret.h"

#include <gtest/gtest.h>

#include <set>

namespace perigee {
namespace {

TEST(Secret, Sha256MatchesTheStandardsExample) {  // FIPS 180-4, "abc"
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Secret, HexRoundTripsAndRefusesWhatIsNotHex) {
  Sha256 digest{};
  ASSERT_TRUE(from_hex(to_hex(sha256("x")), digest));
  EXPECT_EQ(digest, sha256("x"));
  EXPECT_FALSE(from_hex("00", digest));
  EXPECT_FALSE(from_hex(std::string(64, 'g'), digest));
}

TEST(Secret, RandomTextIsBase62AndDoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = random_base62(30);
    EXPECT_EQ(text.size(), 30U);
    EXPECT_TRUE(seen.insert(text).second);
  }
}

TEST(Secret, ComparesInConstantTimeByContent) {
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace perigee
