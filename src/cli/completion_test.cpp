#include "cli/completion.h"

#include <gtest/gtest.h>

namespace perigee::cli {
namespace {

class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    app_.add_subcommand("status", "Show what's up");
    CLI::App* route = app_.add_subcommand("route", "Look at routes");
    CLI::App* explain = route->add_subcommand("explain", "Say why");
    explain->add_option("-m,--model", model_, "The model");
  }
  CLI::App app_{"Test", "perigee"};
  std::string model_;
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_F(CompletionTest, KnowsEveryCommandAndOptionInBash) {
  const std::string script = completion_script(app_, Shell::Bash);
  EXPECT_TRUE(contains(script, "\"perigee\") words='status route --help -h' ;;")) << script;
  EXPECT_TRUE(contains(script, "\"perigee route\") words='explain --help -h' ;;")) << script;
  EXPECT_TRUE(contains(script, "--model -m"));
  EXPECT_TRUE(contains(script, "\"perigee status\"|\"perigee route\"|\"perigee route explain\")"));
}

TEST_F(CompletionTest, QuotesDescriptionsForEachShell) {
  EXPECT_TRUE(contains(completion_script(app_, Shell::Zsh), R"('status:Show what'\''s up')"));
  EXPECT_TRUE(contains(completion_script(app_, Shell::Fish), R"(-d 'Show what\'s up')"));
}

TEST_F(CompletionTest, NestsConditionsInFish) {
  const std::string script = completion_script(app_, Shell::Fish);
  EXPECT_TRUE(contains(script,
                       "-n '__fish_seen_subcommand_from route; and __fish_seen_subcommand_from "
                       "explain' -l model"))
      << script;
}

}  // namespace
}  // namespace perigee::cli
