#include "api/json_text.h"

#include <gtest/gtest.h>

namespace perigee::api {
namespace {

std::string json_of(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonText, EscapesWhatJsonMustEscape) {
  EXPECT_EQ(json_of("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
  EXPECT_EQ(json_of(std::string_view{"\0\x1f", 2}), R"("\u0000\u001f")");
  EXPECT_EQ(json_of(""), R"("")");
}

TEST(JsonText, KeepsValidUtf8) {
  const std::string text = "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xED\x9F\xBF";
  EXPECT_EQ(json_of(text), '"' + text + '"');
}

TEST(JsonText, ReplacesBytesThatAreNotUtf8) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(json_of("a\xFFz"), "\"a" + r + "z\"");
  EXPECT_EQ(json_of("\xC0\xAF"), '"' + r + r + '"');          // overlong
  EXPECT_EQ(json_of("\xED\xA0\x80"), '"' + r + r + r + '"');  // surrogate
  EXPECT_EQ(json_of("\xE2\x82"), '"' + r + r + '"');          // cut off
  EXPECT_EQ(json_of("\xC3\"x"), '"' + r + "\\\"x\"");
}

TEST(JsonText, ReadsBackWhatAnyServerWrites) {
  EXPECT_EQ(unescaped_json(R"(a\"b\\c\/\b\f\n\r\t)"), "a\"b\\c/\b\f\n\r\t");
  EXPECT_EQ(unescaped_json(R"(\u0041\u00e9\u20AC\ud83D\uDE00!)"),
            "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80!");
  EXPECT_EQ(unescaped_json("\xC3\xA9"), "\xC3\xA9");
  EXPECT_EQ(unescaped_json(""), "");
  for (const char* half : {R"(\ud83d)", R"(\ud83dx)", R"(\ude00)", R"(\ud83d\u0041)"}) {
    EXPECT_FALSE(unescaped_json(half)) << half;
  }
}

TEST(JsonText, WritesNumbers) {
  std::string out;
  append_json_number(out, INT64_MIN);
  EXPECT_EQ(out, "-9223372036854775808");
}

}  // namespace
}  // namespace perigee::api
