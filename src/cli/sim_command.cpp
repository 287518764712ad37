#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "cli/sim_json.h"
#include "sim/simulation.h"

namespace perigee::cli {
namespace {

namespace fs = std::filesystem;

struct SimArguments {
  std::string scenario;
  std::vector<std::string> policies;
  std::vector<std::string> overrides;
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
               fmt::format("{:.3f}", p.cost_per_mtok), fmt::format("{:.3f}", p.fairness)});
  }
  print(table);
  print(fmt::format("scenario {}  seed {}  digest {:016x}\n", run.scenario, run.seed, run.digest));
}

int run_scenario(const SimArguments& arguments) {
  auto scenario = sim::load_scenario(find_scenario(arguments.scenario), arguments.overrides);
  if (!scenario) return report(scenario.error());
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
  const auto run = sim::simulate_all(*scenario, arguments.policies, options);
  if (bar) fmt::print(stderr, "\r{:60}\r", "");
  if (!run) return report(run.error());
  if (arguments.format == OutputFormat::Json) {
    print(boost::json::value(sim_json(*run, arguments.series)));
  } else {
    print_run(*run);
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
      ->delimiter(',');
  command->add_option("--seed", arguments->seed, "Of all chance in the run")->capture_default_str();
  command->add_option("--set", arguments->overrides,
                      "Replace a key of the scenario: --set network.rtt_ms=100");
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
      "  perigee sim voice-burst --set network.rtt_ms=100\n"
      "  perigee sim azure-conv --policy perigee,least_load --seed 7 -o json");
}

}  // namespace perigee::cli
