#include "api/json_walk.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/usage_scan.h"
#include "base/random.h"

namespace perigee::api {
namespace {

constexpr std::size_t kDepth = 20;

bool walks(std::string_view text) {
  json::JsonWalk walk{text, kDepth};
  const json::Place end = walk.skip(walk.begin());
  return walk.ends(end);
}

bool parses(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kDepth;
  boost::system::error_code error;
  static_cast<void>(boost::json::parse(text, error, {}, options));
  return !error;
}

// Valid JSON with odd spaces, escapes and names; `usage` at any depth and in strings.
class RandomJson {
 public:
  explicit RandomJson(std::uint64_t seed) : random_(seed) {}
  Random& random() { return random_; }

  std::string value(int depth) {
    switch (random_.below(depth > 0 ? 8 : 6)) {
      case 0: return one_of({"true", "false", "null"});
      case 1: return one_of({"0", "-0", "12", "-3.5", "1e3", "2.5E-2", "4294967296", "1e99"});
      case 2:
      case 3: return text();
      case 4: return "[]";
      case 5: return "{}";
      case 6: return list('[', ']', [&] { return value(depth - 1); });
      default: return list('{', '}', [&] { return key() + space() + ":" + value(depth - 1); });
    }
  }
  std::string key() {
    return one_of({R"("usage")", R"("us\u0061ge")", R"("prompt_tokens")", R"("\"usage\"")",
                   R"("Usage")", R"("")", R"("prompt_tokens_details")", R"("choices")"});
  }
  std::string usage() {
    return space() + R"({"prompt_tokens":)" + std::to_string(random_.below(100)) + space() +
           R"(,"completion_tokens":)" + value(0) + R"(,"usage":)" + value(2) + "}" + space();
  }

 private:
  std::string text() {
    return one_of({R"("")", R"("a")", R"("\"usage\":{\"prompt_tokens\":7}")", "\"Ünï, 日本\"",
                   R"("\\")", R"("\n\u00e9 longer than one word \\\" of eight bytes")",
                   "\"\xF0\x9F\x98\x80 and plain text behind it\"", R"("}],{[")"});
  }
  std::string space() { return one_of({"", "", "", " ", "\n\t ", "\r\n"}); }
  std::string one_of(std::initializer_list<const char*> all) {
    return *(all.begin() + random_.below(all.size()));
  }
  template <class Item>
  std::string list(char open, char close, Item item) {
    std::string out{open};
    for (std::uint64_t n = 1 + random_.below(4); n > 0; --n) {
      out += space() + item() + space() + (n > 1 ? "," : "");
    }
    return out + close;
  }
  Random random_;
};

TEST(JsonWalk, TakesWhatAFullParserTakes) {
  constexpr std::string_view kBytes = "{}[]\",:\\u01 eE-+.tfn\xFF\xC3\x1F\x7F/";
  RandomJson json{5};
  Random& random = json.random();
  int whole = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text = json.value(4);
    ASSERT_TRUE(walks(text)) << text;
    for (std::uint64_t edits = random.below(3); edits > 0; --edits) {
      text[random.below(text.size())] = kBytes[random.below(kBytes.size())];
    }
    if (random.below(4) == 0) text.resize(random.below(text.size() + 1));
    EXPECT_EQ(walks(text), parses(text)) << text;
    whole += walks(text) ? 1 : 0;
  }
  EXPECT_GT(whole, 10'000);
}

TEST(JsonWalk, BoundsTheDepth) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(walks(nested(kDepth)));
  EXPECT_FALSE(walks(nested(kDepth + 1)));
  EXPECT_FALSE(walks(std::string(1 << 20, '[')));
}

TEST(JsonWalk, RefusesByteSequencesThatAreNotUtf8) {
  for (const char* bytes :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xC3(", "\x01"}) {
    EXPECT_FALSE(walks("\"" + std::string{bytes} + "\"")) << bytes;
    EXPECT_FALSE(walks("\"plain text" + std::string{bytes} + "more plain text\"")) << bytes;
  }
  EXPECT_TRUE(walks("\"\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80\""));
}

std::uint32_t prompt_tokens(const boost::json::value& usage) {
  const boost::json::value* number = usage.as_object().if_contains("prompt_tokens");
  if (number == nullptr || !number->is_number()) return 0;
  const double count = number->to_number<double>();
  return count >= 0 && count < 0x1p31 ? static_cast<std::uint32_t>(count) : 0;
}

// Against a DOM: only a member of the top level counts, by its unescaped name.
TEST(UsageScan, FindsTheUsageThatAFullParserFinds) {
  RandomJson json{17};
  int found = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = "{";
    std::uint32_t wanted = 0;
    for (std::uint64_t n = json.random().below(6); n > 0; --n) {
      const std::string key = json.key();
      std::string value = json.value(3);
      // Of two counts the last sensible one is taken, of a DOM the last.
      const std::size_t first = value.find(R"("prompt_tokens")");
      if (value.find(R"("prompt_tokens")", first + 1) != std::string::npos) value = json.usage();
      text += (text.size() > 1 ? "," : "") + key + ":" + value;
      const boost::json::value member = boost::json::parse(value);
      if (boost::json::parse(key) == "usage" && member.is_object()) wanted = prompt_tokens(member);
    }
    text += "}";
    if (text.find("prompt_tokens\":") != std::string::npos) ++found;
    const auto usage = scan_answer_usage(text);
    ASSERT_TRUE(usage) << text;
    EXPECT_EQ(usage->prompt_tokens, wanted) << text;
    EXPECT_EQ(scan_chunk(text)->usage.value_or(Usage{}).prompt_tokens, wanted) << text;
  }
  EXPECT_GT(found, 5'000);
}

}  // namespace
}  // namespace perigee::api
