#include "toml/toml_table.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

constexpr std::string_view kText = R"(rate = 2.5
count = 3
on = true
names = ["a", "b"]
mixed = ["a", 1]
steps = [1, 2.5]

[link]
delay_ms = 7
)";

class TomlTableTest : public testing::Test {
 protected:
  toml::table parsed_ = *parse_toml(kText, "x.toml");
  TomlTable root_{parsed_, "", "x.toml", nullptr};
};

TEST_F(TomlTableTest, ReadsEachType) {
  EXPECT_EQ(*root_.number("rate", 0, 0, 10), 2.5);
  EXPECT_EQ(*root_.number("count", 0, 0, 10), 3);
  EXPECT_EQ(*root_.integer("count", 0, 0, 10), 3);
  EXPECT_TRUE(*root_.boolean("on", false));
  EXPECT_EQ(*root_.strings("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*root_.numbers("steps", 0, 9), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(*root_.number("absent", 4, 0, 10), 4);
  EXPECT_TRUE(root_.strings("absent")->empty());
}

TEST_F(TomlTableTest, NamesFileLineKeyAndWhatWasExpected) {
  EXPECT_EQ(root_.number("rate", 0, 3, 10).error().message,
            "x.toml:1: rate: expected a number from 3 to 10");
  EXPECT_EQ(root_.integer("rate", 0, 0, 10).error().message,
            "x.toml:1: rate: expected a whole number from 0 to 10");
  EXPECT_EQ(root_.boolean("count", false).error().message,
            "x.toml:2: count: expected true or false");
  EXPECT_EQ(root_.strings("mixed").error().message, "x.toml:5: mixed: expected a list of strings");
  EXPECT_EQ(root_.numbers("steps", 2, 9).error().message,
            "x.toml:6: steps: expected a list of numbers, each from 2 to 9");
  auto link = *root_.table("link");
  ASSERT_TRUE(link);
  EXPECT_EQ(link->finish("docs/x.md").error().message,
            "x.toml:9: link.delay_ms: no such key; see docs/x.md");
}

TEST_F(TomlTableTest, NamesTheVariableThatSetABadValue) {
  TomlTable root{parsed_, "", "x.toml", [](const std::string& name) -> std::string {
                   return name == "PERIGEE_COUNT" ? "many" : "";
                 }};
  EXPECT_EQ(root.integer("count", 0, 0, 10).error().message,
            "environment variable PERIGEE_COUNT: expected a whole number from 0 to 10");
  EXPECT_EQ(*root.number("rate", 0, 0, 10), 2.5);
}

TEST(ParseToml, NamesTheLineOfASyntaxError) {
  const auto failed = parse_toml("a = 1\nb = = 2\n", "y.toml");
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().message.starts_with("y.toml:2: ")) << failed.error().message;
}

}  // namespace
}  // namespace perigee
