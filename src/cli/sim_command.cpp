#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "cli/sim_json.h"
#include "cli/sim_report.h"
#include "sim/simulation.h"

namespace perigee::cli {
namespace {

namespace fs = std::filesystem;

struct SimArguments {
  std::string scenario;
  std::vector<std::string> policies;
  std::vector<std::string> overrides;
  std::string sweep;
  std::string report;
  std::uint64_t seed = 1;
  bool list = false;
  bool series = false;
  OutputFormat format = OutputFormat::Table;
};

// Where the shipped scenarios are: beside an installed program, or in the source tree.
std::vector<fs::path> scenario_folders() {
  std::vector<fs::path> folders;
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  if (!failed) {
    folders.push_back(self.parent_path() / "../share/perigee/scenarios");
    folders.push_back(self.parent_path() / "scenarios");
  }
  folders.emplace_back(PERIGEE_SOURCE_SCENARIOS);
  return folders;
}

std::vector<fs::path> shipped_scenarios() {
  std::vector<fs::path> files;
  for (const fs::path& folder : scenario_folders()) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
      if (entry.path().extension() == ".toml") files.push_back(entry.path());
    }
    if (!files.empty()) break;
  }
  std::ranges::sort(files);
  return files;
}

// A path, or the name of a shipped scenario.
std::string find_scenario(const std::string& given) {
  std::error_code failed;
  if (fs::exists(given, failed)) return given;
  for (const fs::path& file : shipped_scenarios()) {
    if (file.stem() == given || file.filename() == given) return file.string();
  }
  return given;
}

int list_scenarios(OutputFormat format) {
  Table table{{{"SCENARIO"}, {"WHAT IT SHOWS"}}};
  boost::json::array all;
  for (const fs::path& file : shipped_scenarios()) {
    const auto scenario = sim::load_scenario(file.string(), {});
    if (!scenario) return report(scenario.error());
    table.add({scenario->name, scenario->title});
    boost::json::object one;
    one["name"] = scenario->name;
    one["title"] = scenario->title;
    one["file"] = file.lexically_normal().string();
    all.push_back(std::move(one));
  }
  if (format == OutputFormat::Json) {
    print(boost::json::value(std::move(all)));
  } else {
    print(table);
  }
  return kExitOk;
}

std::string three(const sim::Quantiles& q) {
  return fmt::format("{} / {} / {}", format_ms(q.p50), format_ms(q.p90), format_ms(q.p99));
}

void print_run(const sim::RunResult& run) {
  Table table{{{"POLICY"},
               {"GOOD/S", Table::Align::Right},
               {"ATTAINED", Table::Align::Right},
               {"TTFT P50/P90/P99", Table::Align::Right},
               {"TPOT P50/P90/P99", Table::Align::Right},
               {"E2E P50/P90/P99", Table::Align::Right},
               {"REFUSED", Table::Align::Right},
               {"FAILED", Table::Align::Right},
               {"BUSY", Table::Align::Right},
               {"CACHED", Table::Align::Right},
               {"BACKBONE", Table::Align::Right},
               {"PER MTOK", Table::Align::Right},
               {"FAIR", Table::Align::Right}}};
  for (const sim::PolicyResult& p : run.policies) {
    table.add({Cell{p.policy, Tone::Strong}, fmt::format("{:.2f}", p.goodput_rps),
               fmt::format("{:.1f} %", p.attainment * 100), three(p.ttft_ms), three(p.tpot_ms),
               three(p.e2e_ms), fmt::format("{}", p.refused + p.unlawful),
               fmt::format("{}", p.failed + p.unfinished),
               fmt::format("{:.0f} %", p.utilisation * 100),
               fmt::format("{:.0f} %", p.prefix_hit * 100),
               fmt::format("{:.1f} MB", static_cast<double>(p.backbone_bytes) * 1e-6),
               std::isfinite(p.cost_per_mtok) ? fmt::format("{:.3f}", p.cost_per_mtok) : "-",
               fmt::format("{:.3f}", p.fairness)});
  }
  print(table);
  print(fmt::format("scenario {}  seed {}  digest {:016x}\n", run.scenario, run.seed, run.digest));
}

// The runs of the sweep, or the one run.
Result<sim::Report> run_all(const SimArguments& arguments) {
  PERIGEE_TRY(sweep, parse_sweep(arguments.sweep));
  sim::Report runs;
  runs.sweep_key = sweep.key;
  runs.sweep_values = sweep.values;
  const SystemClock clock;
  sim::RunOptions options;
  options.seed = arguments.seed;
  options.clock = &clock;
  const bool bar = use_colour(stderr);  // a terminal
  Instant shown{};
  options.progress = [&](std::string_view policy, double share) {
    const Instant now = clock.now();
    if (!bar || now - shown < milliseconds{200}) return;
    shown = now;
    const auto filled = static_cast<std::size_t>(share * 30);
    fmt::print(stderr, "\r{:<20} [{:<30}] {:3.0f} %", policy, std::string(filled, '#'),
               share * 100);
    std::fflush(stderr);
  };
  const std::string file = find_scenario(arguments.scenario);
  for (std::size_t i = 0; i < std::max<std::size_t>(1, sweep.values.size()); ++i) {
    std::vector<std::string> overrides = arguments.overrides;
    if (!sweep.key.empty()) overrides.push_back(sweep.key + "=" + sweep.values[i]);
    PERIGEE_TRY(scenario, sim::load_scenario(file, overrides));
    auto run = sim::simulate_all(scenario, arguments.policies, options);
    if (bar) fmt::print(stderr, "\r{:60}\r", "");
    if (!run) return run.error();
    runs.runs.push_back(std::move(*run));
  }
  runs.shown = runs.runs.size() - 1;
  return runs;
}

boost::json::object sweep_json(const sim::Report& runs, bool series) {
  boost::json::array points;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    boost::json::object point;
    point["value"] = runs.sweep_values[i];
    point["run"] = sim_json(runs.runs[i], series);
    points.push_back(std::move(point));
  }
  boost::json::object out;
  out["sweep"] = runs.sweep_key;
  out["points"] = std::move(points);
  return out;
}

int run_scenario(const SimArguments& arguments) {
  auto runs = run_all(arguments);
  if (!runs) return report(runs.error());
  if (!arguments.report.empty()) {
    sim::Report page = *runs;
    page.policies = explain_policies(page.runs.front());
    if (auto written = write_report(std::move(page), arguments.report); !written) {
      return report(written.error());
    }
    print_note("report written to " + arguments.report);
  }
  const bool swept = !runs->sweep_key.empty();
  if (arguments.format == OutputFormat::Json) {
    print(boost::json::value(swept ? sweep_json(*runs, arguments.series)
                                   : sim_json(runs->runs.front(), arguments.series)));
    return kExitOk;
  }
  for (std::size_t i = 0; i < runs->runs.size(); ++i) {
    if (swept) print(runs->sweep_key + " = " + runs->sweep_values[i] + "\n");
    print_run(runs->runs[i]);
    if (i + 1 < runs->runs.size()) print("\n");
  }
  return kExitOk;
}

}  // namespace

void add_sim_command(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("sim", "Run a scenario in virtual time and compare routing policies");
  auto arguments = std::make_shared<SimArguments>();
  command->add_option("SCENARIO", arguments->scenario, "A TOML file, or a shipped scenario's name");
  command->add_option("--policy", arguments->policies, "Policies to run; default: the scenario's")
      ->delimiter(',')
      ->allow_extra_args(false);  // what follows is the SCENARIO
  command->add_option("--seed", arguments->seed, "Of all chance in the run")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--set", arguments->overrides,
                   "Replace a key of the scenario: --set network.rtt_ms=100")
      ->allow_extra_args(false);
  command->add_option("--sweep", arguments->sweep,
                      "Run once per value of a key: --sweep load=0.5,1,1.5");
  command->add_option("--report", arguments->report,
                      "Write the run as one HTML page with plots to this file");
  command->add_flag("--series", arguments->series,
                    "With -o json: time lines, sites, flows and distributions too");
  command->add_flag("--list", arguments->list, "Name the shipped scenarios");
  add_output_option(*command, arguments->format);
  command->callback([arguments, &exit_code] {
    if (arguments->list) {
      exit_code = list_scenarios(arguments->format);
    } else if (arguments->scenario.empty()) {
      print_note("perigee: name a SCENARIO, or see `perigee sim --list`");
      exit_code = kExitUsage;
    } else {
      exit_code = run_scenario(*arguments);
    }
  });
  command->footer(
      "Examples:\n"
      "  perigee sim --list\n"
      "  perigee sim site-loss --report site-loss.html\n"
      "  perigee sim mixed-gpus --sweep load=0.6,0.8,1,1.2 --report load.html\n"
      "  perigee sim voice-burst --set network.rtt_ms=100\n"
      "  perigee sim azure-conv --policy perigee,least_load --seed 7 -o json");
}

}  // namespace perigee::cli
