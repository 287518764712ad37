#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "sim/trial/batch.h"

namespace perigee::cli {
namespace {

struct FaultsArguments {
  std::uint64_t seeds = 10'000;
  std::uint64_t first = 1;
  std::optional<std::uint64_t> seed;
  std::uint32_t jobs = 0;  // 0: one per core
  std::string defect;
  bool trace = false;
  OutputFormat format = OutputFormat::Table;
};

constexpr std::array<std::string_view, sim::kRequestEnds> kEnds{"open",   "completed", "refused",
                                                                "failed", "left",      "lost"};

Result<sim::Defect> defect_named(const std::string& name) {
  if (name.empty()) return sim::Defect::None;
  std::string all;
  for (std::size_t i = 0; i < sim::kDefects; ++i) {
    const auto defect = static_cast<sim::Defect>(i);
    if (name == to_string(defect)) return defect;
    all += (all.empty() ? "" : ", ") + std::string{to_string(defect)};
  }
  return Error{Code::InvalidArgument, "--plant: expected one of " + all};
}

boost::json::array findings_json(const sim::TrialResult& trial) {
  boost::json::array findings;
  for (const sim::Finding& finding : trial.findings) {
    boost::json::object one;
    one["check"] = to_string(finding.check);
    one["at_s"] = finding.at_s;
    one["what"] = finding.what;
    findings.push_back(std::move(one));
  }
  return findings;
}

void print_findings(const sim::TrialResult& trial, std::size_t most) {
  for (std::size_t i = 0; i < std::min(most, trial.findings.size()); ++i) {
    const sim::Finding& finding = trial.findings[i];
    print(fmt::format("seed {}, {:.3f} s: {}: {}\n", trial.seed, finding.at_s,
                      to_string(finding.check), finding.what));
  }
}

// Twice: the digests must be the same.
int run_one(const FaultsArguments& arguments, sim::Defect defect) {
  const std::uint64_t seed = *arguments.seed;
  const sim::TrialSpec spec = sim::random_trial(seed);
  sim::TrialOptions options;
  options.defect = defect;
  const std::uint64_t expected = sim::run_trial(spec, seed, options).digest;
  if (arguments.trace) options.log = [](std::string_view line) { print(std::string{line} + "\n"); };
  const sim::TrialResult trial = sim::run_trial(spec, seed, options);
  const bool held = trial.findings.empty() && trial.digest == expected;
  if (arguments.format == OutputFormat::Json) {
    boost::json::object out;
    out["seed"] = seed;
    out["held"] = held;
    out["digest"] = fmt::format("{:016x}", trial.digest);
    out["digest_again"] = fmt::format("{:016x}", expected);
    out["events"] = trial.events;
    out["findings"] = findings_json(trial);
    print(boost::json::value(std::move(out)));
  } else {
    print_findings(trial, trial.findings.size());
    print(
        fmt::format("seed {}: {} events, {} tokens, {:.1f} s of virtual time; digest {:016x}, "
                    "again {:016x}: {}\n",
                    seed, trial.events, trial.tokens, trial.virtual_s, expected, trial.digest,
                    held ? "held" : "did not hold"));
  }
  return held ? kExitOk : kExitError;
}

void print_batch(const FaultsArguments& arguments, const sim::BatchResult& batch, double wall_s) {
  for (const sim::TrialResult& trial : batch.failures) print_findings(trial, 1);
  for (const std::uint64_t seed : batch.unrepeatable) {
    print(fmt::format("seed {}: two runs had two digests\n", seed));
  }
  Table probes{{{"PROBE"}, {"HIT", Table::Align::Right}}};
  for (std::size_t i = 0; i < sim::kProbes; ++i) {
    const auto probe = static_cast<sim::Probe>(i);
    const std::uint64_t count = batch.probes.count(probe);
    probes.add(
        {to_string(probe), Cell{std::to_string(count), count == 0 ? Tone::Bad : Tone::Plain}});
  }
  print(probes);
  std::string ends;
  for (std::size_t i = 0; i < sim::kRequestEnds; ++i) {
    if (batch.requests.at(i) == 0) continue;
    ends += fmt::format("{}{} {}", ends.empty() ? "" : ", ", batch.requests.at(i), kEnds.at(i));
  }
  print(fmt::format("requests: {}\n", ends));
  print(
      fmt::format("{} seeds from {}, {} events, {} tokens, {:.0f} s of virtual time in {:.0f} s; "
                  "{} run twice; digest {:016x}\n",
                  batch.seeds, arguments.first, batch.events, batch.tokens, batch.virtual_s, wall_s,
                  batch.repeated, batch.digest));
  const auto blind = batch.blind();
  for (const sim::Probe probe : blind) {
    print(fmt::format("blind: {} was never hit\n", to_string(probe)));
  }
  if (batch.failed > 0) {
    print(fmt::format("{} seeds did not hold; replay one: perigee sim-faults --seed {} --trace\n",
                      batch.failed, batch.failures.front().seed));
  } else if (batch.held() && blind.empty()) {
    print("every seed held every invariant, every probe was hit\n");
  }
}

boost::json::object batch_json(const sim::BatchResult& batch, double wall_s) {
  boost::json::object out;
  out["held"] = batch.held() && batch.blind().empty();
  out["seeds"] = batch.seeds;
  out["failed"] = batch.failed;
  out["repeated"] = batch.repeated;
  out["digest"] = fmt::format("{:016x}", batch.digest);
  out["events"] = batch.events;
  out["tokens"] = batch.tokens;
  out["virtual_s"] = batch.virtual_s;
  out["wall_s"] = wall_s;
  boost::json::object& requests = out["requests"].emplace_object();
  for (std::size_t i = 0; i < sim::kRequestEnds; ++i) requests[kEnds.at(i)] = batch.requests.at(i);
  boost::json::object& probes = out["probes"].emplace_object();
  for (std::size_t i = 0; i < sim::kProbes; ++i) {
    const auto probe = static_cast<sim::Probe>(i);
    probes[to_string(probe)] = batch.probes.count(probe);
  }
  boost::json::array& failures = out["failures"].emplace_array();
  for (const sim::TrialResult& trial : batch.failures) {
    boost::json::object one;
    one["seed"] = trial.seed;
    one["findings"] = findings_json(trial);
    failures.push_back(std::move(one));
  }
  return out;
}

int run_batch(const FaultsArguments& arguments, sim::Defect defect) {
  const SystemClock clock;
  const Instant begun = clock.now();
  Instant shown = begun;
  const bool terminal = use_colour(stderr);
  sim::BatchOptions options;
  options.first = arguments.first;
  options.seeds = arguments.seeds;
  options.jobs =
      arguments.jobs > 0 ? arguments.jobs : std::max(1U, std::thread::hardware_concurrency());
  options.defect = defect;
  options.progress = [&](std::uint64_t done, std::uint64_t failed) {
    const Instant now = clock.now();
    if (now - shown < (terminal ? milliseconds{200} : milliseconds{10'000})) return;
    shown = now;
    fmt::print(stderr, "{}{} of {} seeds, {} failed{}", terminal ? "\r" : "", done, arguments.seeds,
               failed, terminal ? "   " : "\n");
    std::fflush(stderr);
  };
  const sim::BatchResult batch = sim::run_trials(options);
  if (terminal) fmt::print(stderr, "\r{:60}\r", "");
  const double wall_s = to_seconds(clock.now() - begun);
  if (arguments.format == OutputFormat::Json) {
    print(boost::json::value(batch_json(batch, wall_s)));
  } else {
    print_batch(arguments, batch, wall_s);
  }
  return batch.held() && batch.blind().empty() ? kExitOk : kExitError;
}

}  // namespace

void add_sim_faults_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "sim-faults", "Run small grids under random faults in virtual time and check invariants");
  auto arguments = std::make_shared<FaultsArguments>();
  command->add_option("--seeds", arguments->seeds, "How many")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  command->add_option("--first", arguments->first, "The first seed")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--seed", arguments->seed, "This one only, twice")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53))
      ->type_name("N");
  command->add_flag("--trace", arguments->trace, "With --seed: a line per event of interest");
  command->add_option("--jobs", arguments->jobs, "Threads; default: one per core")
      ->check(CLI::Range(1, 1'024));
  command->add_option("--plant", arguments->defect,
                      "A defect to be found, to see that a check can fail: ignores_law, ...");
  add_output_option(*command, arguments->format);
  command->callback([arguments, &exit_code] {
    const auto defect = defect_named(arguments->defect);
    if (!defect) {
      exit_code = report(defect.error());
    } else {
      exit_code = arguments->seed ? run_one(*arguments, *defect) : run_batch(*arguments, *defect);
    }
  });
  command->footer(
      "The status is 0 when every seed held every invariant and every probe was hit.\n"
      "Examples:\n"
      "  perigee sim-faults --seeds 1000\n"
      "  perigee sim-faults --seed 42 --trace\n"
      "  perigee sim-faults --seeds 100 --plant ignores_law");
}

}  // namespace perigee::cli
