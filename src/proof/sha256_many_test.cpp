#include "proof/sha256_many.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"

namespace perigee::proof {
namespace {

using internal::Sha256Way;

class Sha256ManyTest : public ::testing::TestWithParam<Sha256Way> {
 protected:
  void SetUp() override {
    if (!internal::has(GetParam())) GTEST_SKIP() << "this processor has no such registers";
  }
  static void expect_all(std::string_view prefix, const std::vector<std::string>& texts) {
    const std::vector<std::string_view> messages{texts.begin(), texts.end()};
    std::vector<Sha256> digests(messages.size());
    internal::sha256_many(GetParam(), prefix, messages, digests);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(to_hex(digests[i]), to_hex(sha256(std::string{prefix} + texts[i])))
          << "message " << i << " of " << texts[i].size() << " bytes";
    }
  }
  static std::string random_text(Random& random, std::size_t size) {
    std::string text(size, '\0');
    for (char& byte : text) byte = static_cast<char>(random.below(256));
    return text;
  }
};

// Padding differs with each length up to two blocks.
TEST_P(Sha256ManyTest, EqualsOpenSslForEveryLengthAndPrefix) {
  Random random{1};
  for (const std::size_t prefix : {0UL, 1UL, 55UL, 64UL}) {
    std::vector<std::string> texts;
    for (std::size_t size = 0; size < 200; ++size) texts.push_back(random_text(random, size));
    expect_all(random_text(random, prefix), texts);
  }
}

TEST_P(Sha256ManyTest, TakesFewerMessagesThanLanesAndLongBesideShort) {
  Random random{2};
  expect_all("", {});
  expect_all("", {"abc"});
  std::vector<std::string> texts;
  for (int i = 0; i < 50; ++i)
    texts.push_back(random_text(random, random.below(i % 7 == 0 ? 20'000 : 90)));
  expect_all("x", texts);
}

INSTANTIATE_TEST_SUITE_P(Ways, Sha256ManyTest,
                         ::testing::Values(Sha256Way::OneByOne, Sha256Way::Lanes8,
                                           Sha256Way::Lanes16));

TEST(Sha256Many, GivesTheStandardsExample) {
  const std::vector<std::string_view> messages{"abc"};
  std::vector<Sha256> digests(1);
  sha256_many("", messages, digests);
  EXPECT_EQ(to_hex(digests[0]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace perigee::proof
