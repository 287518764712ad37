#include "control/rates_json.h"

#include <gtest/gtest.h>

#include "control/control_test_grid.h"
#include "control/rate_desk.h"

namespace perigee::control {
namespace {

TEST(RatesJson, ReadsBackWhatItWrote) {
  const RateReport report{
      0xfedcba9876543210U,
      7,
      {{{"key_1", RateUnit::Requests}, 3, 4}, {{"iss:corp:x\"y", RateUnit::Tokens}, 0, 1'000'000}}};
  const auto again = parse_rate_report(rate_report_json(report));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->life, report.life);
  EXPECT_EQ(again->number, 7U);
  ASSERT_EQ(again->claims.size(), 2U);
  EXPECT_EQ(again->claims[1].id, report.claims[1].id);
  EXPECT_EQ(again->claims[1].wanted, 1'000'000);
  const auto grants = parse_rate_grants(rate_grants_json({{{"key_1", RateUnit::Tokens}, 5, 6}}));
  ASSERT_TRUE(grants);
  EXPECT_EQ(grants->front().granted, 5);
  EXPECT_EQ(grants->front().free, 6);
  EXPECT_TRUE(parse_rate_report(R"({"life":"1","number":1,"claims":[]})"));
}

// Else a site at which many subjects of tokens are active could report none of its limits.
TEST(RatesJson, AReportOfAllThatASiteMayHoldAtTheLongestNamesIsOneCall) {
  constexpr std::int64_t kUnits = 1'000'000'000'000;
  RateReport report{UINT64_MAX, INT64_MAX, {}};
  for (std::size_t i = 0; i < RateBook::kClaimsMax; ++i) {
    std::string account = std::string{kIssuerAccount} + std::string(kNameBytesMax, 'i') + ":" +
                          std::to_string(1'000'000'000'000'000 + i / 2);
    const RateUnit unit = i % 2 == 0 ? RateUnit::Requests : RateUnit::Tokens;
    report.claims.push_back({{std::move(account), unit}, kUnits, kUnits});
  }
  const std::string json = rate_report_json(report);
  EXPECT_LE(json.size(), kCallBytesMax);
  const auto read = parse_rate_report(json);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->claims.size(), RateBook::kClaimsMax);
}

TEST(RatesJson, RefusesWhatIsMalformed) {
  const auto param = [](const std::string& json) {
    const auto parsed = parse_rate_report(json);
    return parsed ? std::string{"taken"} : parsed.error().param;
  };
  EXPECT_EQ(param(R"({"life":"xyz","number":1,"claims":[]})"), "life");
  EXPECT_EQ(param(R"({"life":"1","number":0,"claims":[]})"), "number");
  for (const char* claims : {"{}", "[[]]", R"([["k","requests",1]])", R"([["k","requests",-1,0]])",
                             R"([["k","bytes",1,0]])", R"([["","tokens",1,0]])",
                             R"([["k","tokens",1,1.5]])", R"([["k","tokens",1,9999999999999]])"}) {
    EXPECT_EQ(param(R"({"life":"1","number":1,"claims":)" + std::string{claims} + "}"), "claims")
        << claims;
  }
  EXPECT_EQ(parse_rate_grants("[]").error().code, Code::Protocol);
}

TEST(RateDesk, GrantsWhatTheDirectorySaysAndKeysThatWereRotatedShareIt) {
  const TestFolder folder;
  ManualClock clock;
  const auto table =
      make_table(std::make_unique<MemoryDirectory>(), clock, folder.file("operator.key"));
  ControlApi api{*table, clock};
  const std::string admin = "Bearer " + first_line(folder.file("operator.key"));
  const auto call = [&](const std::string& path, const std::string& body) {
    const std::string full = "/control/v1/" + path;
    auto answer =
        api.answer({path.starts_with("tenants") ? "PUT" : "POST", full, body, admin, "", ""});
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? answer->body : "";
  };
  RateDesk desk{*table, clock};
  clock.advance(seconds{1});
  call("tenants/acme", "{}");
  const std::string key =
      json_text(call("keys", R"({"tenant":"acme","requests_per_minute":10})"), "id");
  std::uint64_t number = 0;
  const auto ask = [&](const std::string& account, int wanted) {
    const RateReport report{1, ++number, {{{account, RateUnit::Requests}, 0, wanted}}};
    auto answer = desk.take(rate_report_json(report), SiteId{"a"});
    EXPECT_TRUE(answer);
    return parse_rate_grants(answer->body)->front().granted;
  };
  EXPECT_EQ(ask(key, 50), 10);
  EXPECT_EQ(ask("key_of_nobody", 50), 0);
  const std::string next = json_text(call("keys/" + key + "/rotate", "{}"), "id");
  EXPECT_EQ(ask(key, 50), 10) << "one account for both";
  EXPECT_EQ(ask(next, 50), 0) << "the successor counts by the first key's name";
  call("keys/" + key + "/scope", R"({"requests_per_minute":3})");
  call("keys/" + next + "/scope", R"({"requests_per_minute":4})");
  EXPECT_EQ(ask(key, 50), 4);
}

}  // namespace
}  // namespace perigee::control
