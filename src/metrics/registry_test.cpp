#include "metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "metrics/buckets.h"

namespace perigee::metrics {
namespace {

using Labels = std::map<std::string, std::string>;

struct Sample {
  std::string name;
  Labels labels;
  double value = 0;
};

// A strict reader of the text format, as far as this registry writes it. Throws when it is broken.
class Page {
 public:
  explicit Page(const std::string& text) {
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) read_line(line);
  }
  double value(const std::string& name, const Labels& labels = {}) const {
    for (const Sample& sample : samples) {
      if (sample.name == name && sample.labels == labels) return sample.value;
    }
    throw std::runtime_error("no sample " + name);
  }

  std::map<std::string, std::string> types;
  std::vector<Sample> samples;

 private:
  void read_line(const std::string& line) {
    if (line.starts_with("# HELP ")) return;
    if (line.starts_with("# TYPE ")) {
      const std::size_t space = line.find(' ', 7);
      if (!types.emplace(line.substr(7, space - 7), line.substr(space + 1)).second) {
        throw std::runtime_error("a second TYPE: " + line);
      }
      return;
    }
    Sample sample;
    std::size_t at = line.find_first_of("{ ");
    sample.name = line.substr(0, at);
    if (line.at(at) == '{') at = read_labels(line, at + 1, sample.labels);
    if (line.at(at) != ' ') throw std::runtime_error("no space before the value: " + line);
    std::size_t used = 0;
    sample.value = std::stod(line.substr(at + 1), &used);
    if (used != line.size() - at - 1) throw std::runtime_error("not a number: " + line);
    samples.push_back(std::move(sample));
  }

  static std::size_t read_labels(const std::string& line, std::size_t at, Labels& labels) {
    while (line.at(at) != '}') {
      const std::size_t equals = line.find("=\"", at);
      const std::string name = line.substr(at, equals - at);
      std::string value;
      for (at = equals + 2; line.at(at) != '"'; ++at) {
        if (line.at(at) != '\\') {
          value += line.at(at);
        } else {
          value += line.at(++at) == 'n' ? '\n' : line.at(at);
        }
      }
      if (!labels.emplace(name, value).second) throw std::runtime_error("twice: " + line);
      if (line.at(++at) == ',') ++at;
    }
    return at + 1;
  }
};

TEST(Registry, WritesCountersAndGauges) {
  Registry registry;
  auto& requests =
      registry.counter({"perigee_requests_total", "Requests\nanswered.", {"operation", "status"}});
  requests.with({"chat", "200"}).add();
  requests.with({"chat", "200"}).add(2);
  requests.with({"chat", "503"}).add();
  registry.gauge({"perigee_streams", "Open streams."}).with({}).set(-1.5);
  EXPECT_EQ(registry.exposition(),
            "# HELP perigee_requests_total Requests\\nanswered.\n"
            "# TYPE perigee_requests_total counter\n"
            "perigee_requests_total{operation=\"chat\",status=\"200\"} 3\n"
            "perigee_requests_total{operation=\"chat\",status=\"503\"} 1\n"
            "# HELP perigee_streams Open streams.\n"
            "# TYPE perigee_streams gauge\n"
            "perigee_streams -1.5\n");
}

TEST(Registry, WritesCumulativeHistograms) {
  Registry registry;
  auto& family = registry.histogram({"perigee_ttft_seconds", "Until the first token.", {"model"}},
                                    kTimeToFirstTokenBuckets);
  Histogram& histogram = family.with({"m"});
  for (const double seconds : {0.001, 0.0011, 0.3, 99.0}) histogram.observe(seconds);
  histogram.observe(std::numeric_limits<double>::quiet_NaN());
  const Page page{registry.exposition()};
  EXPECT_EQ(page.types.at("perigee_ttft_seconds"), "histogram");
  EXPECT_EQ(page.value("perigee_ttft_seconds_bucket", {{"model", "m"}, {"le", "0.001"}}), 1);
  EXPECT_EQ(page.value("perigee_ttft_seconds_bucket", {{"model", "m"}, {"le", "0.005"}}), 2);
  EXPECT_EQ(page.value("perigee_ttft_seconds_bucket", {{"model", "m"}, {"le", "10"}}), 3);
  EXPECT_EQ(page.value("perigee_ttft_seconds_bucket", {{"model", "m"}, {"le", "+Inf"}}), 4);
  EXPECT_EQ(page.value("perigee_ttft_seconds_count", {{"model", "m"}}), 4);
  EXPECT_NEAR(page.value("perigee_ttft_seconds_sum", {{"model", "m"}}), 99.3021, 1e-9);
}

TEST(Registry, EscapesLabelValues) {
  Registry registry;
  const std::string odd = "a\"b\\c\nd{}=,";
  registry.counter({"perigee_x_total", "x", {"label"}}).with({odd}).add(7);
  EXPECT_EQ(Page{registry.exposition()}.value("perigee_x_total", {{"label", odd}}), 7);
}

TEST(Registry, CapsTheSeriesOfAFamily) {
  Registry registry;
  auto& family = registry.counter({"perigee_x_total", "x", {"model", "site"}, 3});
  for (int i = 0; i < 100; ++i) family.with({"m" + std::to_string(i), "s"}).add();
  family.with({"m0", "s"}).add();
  const Page page{registry.exposition()};
  EXPECT_EQ(page.samples.size(), 4u);
  EXPECT_EQ(page.value("perigee_x_total", {{"model", "m0"}, {"site", "s"}}), 2);
  EXPECT_EQ(page.value("perigee_x_total", {{"model", "other"}, {"site", "other"}}), 97);
}

TEST(Registry, KeepsReferencesValid) {
  Registry registry;
  auto& family = registry.counter({"perigee_x_total", "x", {"n"}});
  Counter& first = family.with({"0"});
  for (int i = 1; i < 60; ++i) family.with({std::to_string(i)}).add();
  first.add(5);
  EXPECT_EQ(family.with({"0"}).value(), 5u);
}

TEST(Registry, LeavesOutFamiliesWithoutSeries) {
  Registry registry;
  auto& gauge = registry.gauge({"perigee_load", "x", {"engine"}});
  EXPECT_EQ(registry.exposition(), "");
  gauge.with({"a"}).set(std::numeric_limits<double>::infinity());
  EXPECT_THAT(registry.exposition(), ::testing::HasSubstr("perigee_load{engine=\"a\"} +Inf\n"));
  gauge.clear();
  EXPECT_EQ(registry.exposition(), "");
}

TEST(Registry, TellsTheBuild) {
  Registry registry;
  registry.add_build_info("0.1.0", "abc");
  EXPECT_EQ(Page{registry.exposition()}.value("perigee_build_info",
                                              {{"version", "0.1.0"}, {"revision", "abc"}}),
            1);
}

TEST(RegistryDeathTest, RefusesNamesThatBreakTheRules) {
  Registry registry;
  EXPECT_DEATH(registry.counter({"perigee_requests", "x"}), "_total");
  EXPECT_DEATH(registry.gauge({"requests", "x"}), "kPrefix");
  EXPECT_DEATH(registry.gauge({"perigee_a-b", "x"}), "valid_part");
  registry.gauge({"perigee_a", "x"});
  EXPECT_DEATH(registry.gauge({"perigee_a", "x"}), "none_of");
}

// With promtool (package prometheus) on the machine, its own check too.
TEST(Registry, PassesPromtool) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "no promtool";
  Registry registry;
  registry.add_build_info("0.1.0", "abc");
  registry.counter({"perigee_requests_total", "Requests.", {"status"}}).with({"200"}).add();
  registry.histogram({"perigee_duration_seconds", "Time."}, kDurationBuckets).with({}).observe(1);
  registry.histogram({"perigee_size_tokens", "Size."}, kTokenBuckets).with({}).observe(1);
  registry.histogram({"perigee_tpot_seconds", "Time."}, kTimePerTokenBuckets).with({}).observe(1);
  const std::string path = ::testing::TempDir() + "perigee_metrics.txt";
  std::ofstream{path} << registry.exposition();
  EXPECT_EQ(std::system(("promtool check metrics < " + path).c_str()), 0);
}

}  // namespace
}  // namespace perigee::metrics
