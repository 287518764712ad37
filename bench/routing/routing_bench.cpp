// routing_bench: all policies on all shipped scenarios, several seeds each.
//
// Prints goodput, attainment and p99 of the time to first token, each with its 95 % interval over
// the seeds, and per scenario how Perigee stands: against the best baseline (seed by seed) and
// against the oracle. With --calibrate it prints instead the load at which the best baseline serves
// 85 % in time: the rule by which the scenarios' loads were chosen.
#include <fmt/format.h>

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "calibration.h"
#include "comparison.h"
#include "runs.h"

namespace perigee::bench {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

const Roles kRoles{.subject = "perigee", .bound = "oracle", .aside = {"perigee_router"}};
// --quick: a look, not a measurement.
constexpr int kQuickSeeds = 2;
constexpr const char* kQuickDuration = "duration_s = 120";

struct Arguments {
  std::vector<std::string> scenarios;
  std::vector<std::string> policies;
  std::vector<std::string> overrides;
  int seeds = 10;
  std::uint64_t first_seed = 1;
  unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  bool quick = false;
  bool calibrate = false;
  double attainment = 0.85;
  std::string format = "table";
};

struct Subject {  // one scenario and what was measured of it
  sim::Scenario scenario;
  std::vector<PolicySamples> policies;
  std::size_t missing = 0;  // runs
};

int fail(const std::string& what) {
  fmt::print(stderr, "routing_bench: {}\n", what);
  return 1;
}

std::vector<std::string> shipped() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(PERIGEE_SCENARIOS)) {
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string file_of(const std::string& name) {
  return fs::exists(name) ? name : std::string{PERIGEE_SCENARIOS} + "/" + name + ".toml";
}

std::string pm(const Mean& mean, int digits) {
  if (std::isinf(mean.ci95)) return fmt::format("{:.{}f}", mean.mean, digits);
  return fmt::format("{:.{}f} +- {:.{}f}", mean.mean, digits, mean.ci95, digits);
}

std::string verdict(const Standing& standing) {
  if (standing.best.empty()) return "nothing to compare with";
  const Mean percent{standing.lead.mean * 100, standing.lead.ci95 * 100};
  std::string text = fmt::format("{} {}: {} % against {}", kRoles.subject,
                                 to_string(standing.place), pm(percent, 2), standing.best);
  if (standing.has_bound) text += fmt::format("; {} of {}", pm(standing.to_bound, 3), kRoles.bound);
  return text;
}

void print_table(const Subject& subject, int seeds) {
  fmt::print("\n{} ({} seeds)\n", subject.scenario.name, seeds);
  fmt::print("  {:<20} {:>20} {:>18} {:>24}\n", "policy", "goodput /s", "in time %", "ttft p99 ms");
  std::vector<PolicySummary> rows;
  for (const PolicySamples& samples : subject.policies) rows.push_back(summary_of(samples));
  std::ranges::sort(rows, std::ranges::greater{},
                    [](const PolicySummary& row) { return row.goodput_rps.mean; });
  for (const PolicySummary& row : rows) {
    const Mean percent{row.attainment.mean * 100, row.attainment.ci95 * 100};
    fmt::print("  {:<20} {:>20} {:>18} {:>10.2f} {:>22}\n", row.policy, pm(row.goodput_rps, 2),
               pm(percent, 2), row.refused.mean * 100, pm(row.ttft_ms_p99, 0));
  }
  fmt::print("  {}\n", verdict(standing_of(subject.policies, kRoles)));
  std::fflush(stdout);
}

json::object json_of(const Mean& mean) {
  json::object out{{"mean", mean.mean}, {"ci95", nullptr}};
  if (std::isfinite(mean.ci95)) out["ci95"] = mean.ci95;
  return out;
}

json::object json_of(const Subject& subject) {
  json::object policies;
  for (const PolicySamples& samples : subject.policies) {
    const PolicySummary row = summary_of(samples);
    policies[row.policy] = json::object{{"goodput_rps", json_of(row.goodput_rps)},
                                        {"attainment", json_of(row.attainment)},
                                        {"refused", json_of(row.refused)},
                                        {"ttft_ms_p99", json_of(row.ttft_ms_p99)}};
  }
  const Standing standing = standing_of(subject.policies, kRoles);
  json::object out{{"scenario", subject.scenario.name},
                   {"place", to_string(standing.place)},
                   {"best_baseline", nullptr},
                   {"lead", nullptr},
                   {"to_oracle", nullptr},
                   {"policies", std::move(policies)}};
  if (!standing.best.empty()) {
    out["best_baseline"] = standing.best;
    out["lead"] = json_of(standing.lead);
  }
  if (standing.has_bound) out["to_oracle"] = json_of(standing.to_bound);
  return out;
}

Result<std::vector<const sim::PolicyEntry*>> chosen_policies(const Arguments& arguments) {
  std::vector<const sim::PolicyEntry*> chosen;
  for (const std::string& name : arguments.policies) {
    const sim::PolicyEntry* entry = sim::find_policy(name);
    if (entry == nullptr) return Error{Code::NotFound, "no policy is called '" + name + "'"};
    chosen.push_back(entry);
  }
  if (!chosen.empty()) return chosen;
  for (const sim::PolicyEntry& entry : sim::policies()) chosen.push_back(&entry);
  return chosen;
}

// One moving line on a terminal, else a line now and then.
void show_progress(std::size_t ended, std::size_t all, const Run& run) {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  const std::string line = fmt::format("{:>5} of {} runs: {}, {}, seed {}", ended, all,
                                       run.scenario->name, run.policy->name, run.seed);
  if (terminal) {
    fmt::print(stderr, "\r\033[K{}", line);
    if (ended == all) fmt::print(stderr, "\r\033[K");
  } else if (ended == all || ended % std::max<std::size_t>(1, all / 20) == 0) {
    fmt::print(stderr, "{}\n", line);
  }
}

double refused_share(const sim::PolicyResult& result) {
  if (result.requests == 0) return 0;
  return static_cast<double>(result.refused + result.unlawful) /
         static_cast<double>(result.requests);
}

int compare(const Arguments& arguments) {
  const auto policies = chosen_policies(arguments);
  if (!policies) return fail(policies.error().message);
  std::vector<std::string> overrides = arguments.overrides;
  if (arguments.quick) overrides.insert(overrides.begin(), kQuickDuration);
  std::vector<Subject> subjects;
  for (const std::string& name : arguments.scenarios) {
    auto scenario = sim::load_scenario(file_of(name), overrides);
    if (!scenario) return fail(scenario.error().message);
    subjects.push_back({.scenario = std::move(*scenario), .policies = {}, .missing = 0});
  }
  const auto seeds = static_cast<std::size_t>(arguments.seeds);
  std::vector<Run> runs;
  for (Subject& subject : subjects) {
    for (std::size_t seed = 0; seed < seeds; ++seed) {
      for (const sim::PolicyEntry* policy : *policies) {
        runs.push_back({&subject.scenario, policy, arguments.first_seed + seed});
      }
    }
    for (const sim::PolicyEntry* policy : *policies) {
      subject.policies.push_back({std::string{policy->name}, std::vector<Sample>(seeds)});
    }
    subject.missing = seeds * policies->size();
  }
  std::size_t ended = 0;
  std::size_t printed = 0;
  const bool table = arguments.format == "table";
  run_all(runs, arguments.threads, [&](std::size_t i, const sim::PolicyResult& result) {
    const std::size_t of_subject = seeds * policies->size();
    Subject& subject = subjects[i / of_subject];
    subject.policies[i % policies->size()].seeds[i % of_subject / policies->size()] = {
        .goodput_rps = result.goodput_rps,
        .attainment = result.attainment,
        .refused = refused_share(result),
        .ttft_ms_p99 = result.ttft_ms.p99};
    --subject.missing;
    show_progress(++ended, runs.size(), runs[i]);
    while (table && printed < subjects.size() && subjects[printed].missing == 0) {
      print_table(subjects[printed++], arguments.seeds);
    }
  });
  if (table) return 0;
  json::array scenarios;
  for (const Subject& subject : subjects) scenarios.push_back(json_of(subject));
  std::cout << json::object{{"benchmark", "routing"},
                            {"seeds", arguments.seeds},
                            {"first_seed", arguments.first_seed},
                            {"quick", arguments.quick},
                            {"scenarios", std::move(scenarios)}}
            << '\n';
  return 0;
}

bool is_baseline(std::string_view name) {
  return name != kRoles.subject && name != kRoles.bound &&
         std::ranges::find(kRoles.aside, name) == kRoles.aside.end();
}

int calibrate_all(const Arguments& arguments) {
  const auto policies = chosen_policies(arguments);
  if (!policies) return fail(policies.error().message);
  json::array all;
  for (const std::string& name : arguments.scenarios) {
    CalibrationOptions options;
    options.overrides = arguments.overrides;
    options.attainment = arguments.attainment;
    options.threads = arguments.threads;
    for (const sim::PolicyEntry* policy : *policies) {
      if (is_baseline(policy->name)) options.baselines.push_back(policy);
    }
    options.tried = [&](double load, double attainment, const std::string& best) {
      fmt::print(stderr, "{}: load {:.4f}: {:.1f} % by {}\n", name, load, attainment * 100, best);
    };
    const auto found = calibrate(file_of(name), std::move(options));
    if (!found) return fail(found.error().message);
    all.push_back(json::object{{"scenario", name},
                               {"load", found->load},
                               {"attainment", found->attainment},
                               {"best_baseline", found->best}});
    if (arguments.format == "table") {
      fmt::print("{:<22} load {:.3f}  {:.1f} % by {}\n", name, found->load, found->attainment * 100,
                 found->best);
      std::fflush(stdout);
    }
  }
  if (arguments.format == "json") {
    std::cout << json::object{{"benchmark", "routing"}, {"calibration", std::move(all)}} << '\n';
  }
  return 0;
}

int run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"All routing policies on all shipped scenarios, with several seeds",
               "routing_bench"};
  app.add_option("--seeds", arguments.seeds, "Seeds per scenario and policy")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--first-seed", arguments.first_seed, "The first of them")->capture_default_str();
  app.add_option("--scenario", arguments.scenarios, "Files or names; default: all shipped")
      ->delimiter(',');
  app.add_option("--policy", arguments.policies, "Default: all")->delimiter(',');
  app.add_option("--set", arguments.overrides, "Replace a key of each scenario: --set load=1.2");
  app.add_option("--threads", arguments.threads, "Runs side by side")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_flag("--quick", arguments.quick, "Two seeds and two minutes of each scenario");
  app.add_flag("--calibrate", arguments.calibrate,
               "Print the load at which the best baseline serves --attainment in time");
  app.add_option("--attainment", arguments.attainment, "For --calibrate")
      ->check(CLI::Range(0.01, 0.99))
      ->capture_default_str();
  app.add_option("-o,--output", arguments.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (arguments.scenarios.empty()) arguments.scenarios = shipped();
  if (arguments.quick && app.count("--seeds") == 0) arguments.seeds = kQuickSeeds;
  return arguments.calibrate ? calibrate_all(arguments) : compare(arguments);
}

}  // namespace
}  // namespace perigee::bench

int main(int argc, char** argv) { return perigee::bench::run(argc, argv); }
