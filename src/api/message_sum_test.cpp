#include "api/message_sum.h"

#include <gtest/gtest.h>

#include <vector>

namespace perigee::api {
namespace {

struct Field {
  std::string_view name;
  std::string_view value;
};

TEST(MessageSum, SeesEveryFlippedBit) {
  const std::string line = "choice=1 ids=12,345";
  const std::string data = R"({"choices":[{"delta":{"content":"hello"}}]})";
  const std::uint32_t sum = sum_of(line, data);
  for (std::size_t bit = 0; bit < 8 * (line.size() + data.size()); ++bit) {
    std::string bad_line = line;
    std::string bad_data = data;
    const std::size_t at = bit / 8;
    char& hit = at < line.size() ? bad_line[at] : bad_data[at - line.size()];
    hit = static_cast<char>(hit ^ (1 << bit % 8));
    EXPECT_NE(sum_of(bad_line, bad_data), sum);
  }
}

TEST(MessageSum, TellsPartsApart) {
  EXPECT_NE(sum_of("ab", "c"), sum_of("a", "bc"));
  EXPECT_NE(sum_of("", "abc"), sum_of("abc", ""));
}

TEST(MessageSum, IsTheSameInEveryVersion) {  // it goes over the wire
  std::string text;
  append_sum(text, sum_of("ids=1", R"({"a":1})"));
  EXPECT_EQ(text, "c1e80d20");
}

TEST(MessageSum, OfARequestCountsWhatDecidesHowItIsServed) {
  const std::vector<Field> headers = {
      {"host", "a"}, {"perigee-tenant", "acme"}, {"Perigee-Seed", "7"}, {"perigee-sum", "x"}};
  const std::uint32_t sum = sum_of_request(headers, "{}");
  std::vector<Field> other = headers;
  other[0].value = "b";
  other[3].value = "y";
  EXPECT_EQ(sum_of_request(other, "{}"), sum);
  other[2].value = " 7 ";
  EXPECT_EQ(sum_of_request(other, "{}"), sum) << "HTTP takes blanks away";
  other[2].value = "6";
  EXPECT_NE(sum_of_request(other, "{}"), sum);
  EXPECT_NE(sum_of_request(headers, "[]"), sum);
}

TEST(MessageSum, ReadsBackWhatItWrites) {
  for (const std::uint32_t sum : {0U, 1U, 0xdeadbeefU, 0xffffffffU}) {
    std::string text;
    append_sum(text, sum);
    EXPECT_EQ(parse_sum(text), sum);
  }
  for (const char* bad : {"", "1234567", "123456789", "1234567g", "-1234567", "0x123456"}) {
    EXPECT_FALSE(parse_sum(bad)) << bad;
  }
}

}  // namespace
}  // namespace perigee::api
