#include "sim/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include "sim/report/line_chart.h"
#include "sim/report/markup.h"
#include "sim/report/site_map.h"

namespace perigee::sim {
namespace {

using testing::HasSubstr;
using testing::Not;

PolicyResult policy(const std::string& name, std::uint32_t sites, double goodput) {
  PolicyResult p;
  p.policy = name;
  p.requests = 1'000;
  p.served = 990;
  p.ttft_ms = {120, 400, 2'000};
  p.tpot_ms = {12, 20, 40};
  p.e2e_ms = {1'500, 4'000, 9'000};
  p.goodput_rps = goodput;
  p.attainment = 0.97;
  p.utilisation = 0.6;
  p.cost_per_mtok = 0.41;
  p.fairness = 1;
  p.timeline_step_s = 5;
  for (int i = 0; i < 120; ++i) {
    p.timeline.push_back({.arrived = 40, .good = 30, .queued = 1.0 * i, .ttft_ms_p99 = 100.0 + i});
  }
  for (std::uint32_t i = 0; i < sites; ++i) {
    p.sites.push_back({.site = i,
                       .arrived = 20 + i,
                       .good = 15,
                       .served = 30,
                       .served_own = 10,
                       .utilisation = 0.5,
                       .ttft_ms_p50 = 100,
                       .ttft_ms_p99 = 300});
    for (std::uint32_t to = i; to < std::min(sites, i + 3); ++to) p.flows.push_back({i, to, 7 + i});
  }
  p.classes.push_back({.service_class = ServiceClass::Interactive,
                       .requests = 1'000,
                       .good = 970,
                       .ttft_ms = p.ttft_ms,
                       .tpot_ms = p.tpot_ms,
                       .e2e_ms = p.e2e_ms});
  for (int i = 0; i <= 200; ++i) {
    p.ttft_ms_quantiles.push_back(static_cast<float>(50 + i));
    p.tpot_ms_quantiles.push_back(static_cast<float>(5 + i));
    p.e2e_ms_quantiles.push_back(static_cast<float>(500 + 40 * i));
  }
  return p;
}

RunResult run(std::uint32_t sites, int policies) {
  RunResult r;
  r.scenario = "two-towns";
  r.title = "Two towns";
  r.seed = 7;
  r.digest = 0xabc;
  r.duration_s = 600;
  for (std::uint32_t i = 0; i < sites; ++i) {
    r.sites.push_back(
        {"site-" + std::to_string(i), -60.0 + (i * 37) % 130, -170.0 + (i * 53) % 340, 1 + i % 3});
  }
  for (int i = 0; i < policies; ++i) {
    r.policies.push_back(policy("policy_" + std::to_string(i), sites, 30 - i));
  }
  return r;
}

std::string page(RunResult r) {
  Report report;
  report.runs.push_back(std::move(r));
  return render_report(report);
}

// No number of a drawing or a table may be one of these.
void expect_no_odd_numbers(const std::string& page) {
  const std::string markup = page.substr(0, page.rfind("<script>"));
  for (const char* odd : {">nan", ">inf", ">-nan", ">-inf", "\"nan", "\"inf", " nan", " inf ",
                          ",nan", ",inf", "-inf "}) {
    EXPECT_EQ(markup.find(odd), std::string::npos) << odd;
  }
}

// Every element that is opened is closed in order; void elements apart.
void expect_balanced(std::string_view page) {
  std::vector<std::string_view> open;
  std::size_t at = page.find("<body");
  const std::size_t script = page.rfind("<script>");
  while ((at = page.find('<', at)) != std::string_view::npos && at < script) {
    const std::size_t end = page.find('>', at);
    ASSERT_NE(end, std::string_view::npos);
    const std::string_view tag = page.substr(at + 1, end - at - 1);
    at = end;
    if (tag.ends_with('/')) continue;
    if (tag.starts_with('/')) {
      ASSERT_FALSE(open.empty()) << tag;
      ASSERT_EQ(open.back(), tag.substr(1));
      open.pop_back();
    } else {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_THAT(open, testing::ElementsAre("body"));
}

TEST(Report, EscapesNamesFromFiles) {
  RunResult r = run(3, 2);
  r.title = "<script>alert(1)</script>";
  r.scenario = "a\"b<c>";
  r.sites[0].name = "<img src=x onerror='y'>";
  r.policies[0].policy = "</svg><b>bold & brave";
  r.faults.push_back({"site <i>", 10, 20});
  const std::string html = page(std::move(r));
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, Not(HasSubstr("</svg><b>bold")));
  EXPECT_THAT(html, Not(HasSubstr("<i>")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, HasSubstr("bold &amp; brave"));
  expect_balanced(html);
}

TEST(Report, TurnsControlCharactersAndBadUtf8IntoText) {
  EXPECT_EQ(escape("a\x01"
                   "b\xff"
                   "c\n"),
            "a b?c ");
  EXPECT_EQ(escape("K\xc3\xb6ln \"&'"), "K\xc3\xb6ln &quot;&amp;&#39;");
}

TEST(Report, FetchesNothing) {
  const std::string html = page(run(5, 3));
  for (const char* outside : {"<link", "<img", "src=", "@import", "url(", "fetch(", "https://"}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST(Report, NamesScenarioSeedAndDigest) {
  const std::string html = page(run(2, 1));
  EXPECT_THAT(html, HasSubstr("two-towns"));
  EXPECT_THAT(html, HasSubstr("<code>7</code>"));
  EXPECT_THAT(html, HasSubstr("0000000000000abc"));
}

TEST(Report, HoldsEveryFigureOfSeveralPolicies) {
  RunResult r = run(6, 3);
  r.faults.push_back({"site site-1", 100, 200});
  const std::string html = page(std::move(r));
  for (const char* title : {"Summary", "Goodput", "Time to first token, distribution", "Queue",
                            "Who served whom", "Sites: policy_1", "fault: site site-1"}) {
    EXPECT_THAT(html, HasSubstr(title));
  }
  expect_no_odd_numbers(html);
  expect_balanced(html);
}

TEST(Report, StandsWithoutAnyPolicy) { expect_balanced(page(run(1, 0))); }

TEST(Report, StandsWithAnEmptyResult) {
  RunResult r = run(1, 1);
  r.policies[0] = PolicyResult{};
  const std::string html = page(std::move(r));
  expect_no_odd_numbers(html);
  expect_balanced(html);
}

TEST(Report, ShowsNoNanAndNoInfinity) {
  RunResult r = run(4, 2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  PolicyResult& p = r.policies[0];
  p.goodput_rps = nan;
  p.ttft_ms = {nan, inf, -inf};
  p.tpot_ms_quantiles[3] = std::numeric_limits<float>::quiet_NaN();
  p.timeline[5].queued = inf;
  p.timeline[6].ttft_ms_p99 = 0;
  p.cost_per_mtok = inf;
  p.sites[1].utilisation = nan;
  r.sites[2].latitude = nan;
  r.sites[3].longitude = inf;
  const std::string html = page(std::move(r));
  expect_no_odd_numbers(html);
  expect_balanced(html);
}

TEST(Report, StaysBelowOneMegabyteAtTenThousandSitesAndAllPolicies) {
  EXPECT_LT(page(run(10'000, 17)).size(), 1'000'000U);
}

TEST(Report, PlotsASweepOverItsNumbers) {
  Report report;
  for (int i = 0; i < 3; ++i) report.runs.push_back(run(2, 2));
  report.sweep_key = "load";
  report.sweep_values = {"0.5", "1", "2"};
  report.shown = 2;
  const std::string html = render_report(report);
  EXPECT_THAT(html, HasSubstr("Goodput against load"));
  EXPECT_THAT(html, HasSubstr("At load = 2: "));
  expect_no_odd_numbers(html);
}

TEST(Report, PlotsNoPointOnePointAndMany) {
  LineChart chart;
  chart.title = "t";
  EXPECT_THAT(render(chart), HasSubstr("Nothing to plot"));
  chart.series.push_back({"one", 0, {{3, 4}}});
  EXPECT_THAT(render(chart), HasSubstr("<circle"));
  for (int i = 0; i < 100; ++i) chart.series[0].points.push_back({1.0 * i, 2.0 * i});
  EXPECT_THAT(render(chart), HasSubstr("<polyline"));
}

TEST(Report, LeavesOutOfALogAxisWhatIsNotAboveZero) {
  LineChart chart;
  chart.x_log = true;
  chart.series.push_back({"none", 0, {{0, 1}, {-5, 2}}});
  EXPECT_THAT(render(chart), HasSubstr("Nothing to plot"));
}

TEST(Report, DrawsTheLargestSitesAndFlowsAndSaysSo) {
  const RunResult r = run(50, 1);
  const std::string map =
      render_map("m", r.sites, r.policies[0], {.sites_max = 10, .flows_max = 4});
  EXPECT_THAT(map, HasSubstr("10 of 50 sites and the 4 largest flows"));
}

TEST(Report, WritesNumbersForPeople) {
  EXPECT_EQ(format_value(12.34, Unit::Milliseconds), "12.3 ms");
  EXPECT_EQ(format_value(2'345, Unit::Milliseconds), "2.35 s");
  EXPECT_EQ(format_number(1'234'567), "1,234,567");
  EXPECT_EQ(format_bytes(12.3e6), "12.3 MB");
  EXPECT_EQ(format_share(0.1234), "12.3 %");
  EXPECT_EQ(coordinate(-0.01), "0");
}

}  // namespace
}  // namespace perigee::sim
