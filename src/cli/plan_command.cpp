#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>
#include <memory>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/sim_json.h"
#include "cli/sim_report.h"
#include "sim/plan/plan.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct PlanArguments {
  std::string file;
  std::string report;
  std::uint64_t seed = 1;
  OutputFormat format = OutputFormat::Table;
};

std::string gpus_text(const sim::Scenario& scenario, const std::vector<std::uint32_t>& counts) {
  std::string text;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) continue;
    text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", counts[k], scenario.kinds[k].name);
  }
  return text.empty() ? "none" : text;
}

double site_price(const sim::Scenario& scenario, const std::vector<std::uint32_t>& counts) {
  return sim::price_per_hour(scenario, {counts});
}

json::array sites_json(const sim::Scenario& scenario, const sim::GpuCounts& counts) {
  json::array all;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    json::object engines;
    for (std::size_t k = 0; k < counts[s].size(); ++k) {
      if (counts[s][k] > 0) engines[scenario.kinds[k].name] = counts[s][k];
    }
    json::object site;
    site["site"] = scenario.sites[s].name;
    site["gpus"] = std::move(engines);
    site["price_per_hour"] = site_price(scenario, counts[s]);
    all.push_back(std::move(site));
  }
  return all;
}

json::object plan_json(const sim::PlanTask& task, const sim::Plan& plan, std::uint64_t seed) {
  json::object out;
  out["plan"] = task.scenario.name;
  out["seed"] = seed;
  out["digest"] = fmt::format("{:016x}", plan.digest);
  out["meets_targets"] = plan.meets;
  out["shortfall"] = plan.shortfall;
  out["gpus"] = plan.gpus;
  out["price_per_hour"] = plan.price_per_hour;
  json::object result = policy_json(plan.result, false);
  out["cost_per_mtok"] = result.at("cost_per_mtok");
  out["sites"] = sites_json(task.scenario, plan.counts);
  out["result"] = std::move(result);
  json::array losses;
  for (const sim::SiteLoss& loss : plan.losses) {
    json::object one;
    one["site"] = task.scenario.sites[loss.site].name;
    one["gpus_lost"] = loss.gpus;
    one["holds"] = loss.holds;
    one["result"] = policy_json(loss.result, false);
    losses.push_back(std::move(one));
  }
  out["site_losses"] = std::move(losses);
  json::object guess;
  guess["gpus"] = plan.guess_gpus;
  guess["price_per_hour"] = plan.guess_price_per_hour;
  guess["sites"] = sites_json(task.scenario, plan.guess);
  out["first_guess"] = std::move(guess);
  out["runs"] = plan.runs;
  return out;
}

std::vector<std::string> figure_cells(const sim::PolicyResult& r) {
  return {fmt::format("{:.2f} %", r.attainment * 100),
          format_ms(r.ttft_ms.p50),
          format_ms(r.ttft_ms.p99),
          format_ms(r.e2e_ms.p99),
          fmt::format("{}", r.refused + r.unlawful),
          fmt::format("{}", r.failed + r.unfinished),
          fmt::format("{:.0f} %", r.utilisation * 100)};
}

sim::ReportTable site_rows(const sim::PlanTask& task, const sim::Plan& plan) {
  sim::ReportTable table;
  table.title = "The plan";
  table.note = "GPUs at each site, and their price per hour in the file's currency.";
  table.columns = {"Site", "GPUs", "At most", "Price per hour", "First guess"};
  for (std::size_t s = 0; s < plan.counts.size(); ++s) {
    table.rows.push_back({task.scenario.sites[s].name, gpus_text(task.scenario, plan.counts[s]),
                          gpus_text(task.scenario, task.most[s]),
                          fmt::format("{:.2f}", site_price(task.scenario, plan.counts[s])),
                          gpus_text(task.scenario, plan.guess[s])});
  }
  return table;
}

sim::ReportTable loss_rows(const sim::PlanTask& task, const sim::Plan& plan) {
  sim::ReportTable table;
  table.title = "When one site is lost";
  table.note =
      "The site fails after a tenth of the run and stays away; its users go to the nearest other "
      "site. What was under way there is lost and counts as failed.";
  table.columns = {"Lost",     "GPUs lost", "Holds",   "Inside targets", "TTFT p50",
                   "TTFT p99", "E2E p99",   "Refused", "Failed",         "Busy"};
  const auto add = [&](std::vector<std::string> row, const sim::PolicyResult& result) {
    for (std::string& cell : figure_cells(result)) row.push_back(std::move(cell));
    table.rows.push_back(std::move(row));
  };
  add({"(none)", "0", plan.meets ? "yes" : "no"}, plan.result);
  for (const sim::SiteLoss& loss : plan.losses) {
    add({task.scenario.sites[loss.site].name, std::to_string(loss.gpus), loss.holds ? "yes" : "no"},
        loss.result);
  }
  return table;
}

void print_rows(const sim::ReportTable& rows) {
  std::vector<Table::Column> columns;
  for (const std::string& title : rows.columns) {
    columns.push_back({title, columns.empty() ? Table::Align::Left : Table::Align::Right});
  }
  Table table{std::move(columns)};
  for (const auto& row : rows.rows) table.add({row.begin(), row.end()});
  print(table);
}

std::string verdict(const sim::Plan& plan) {
  std::string cost = fmt::format("{} GPUs, {:.2f} per hour", plan.gpus, plan.price_per_hour);
  if (std::isfinite(plan.result.cost_per_mtok)) {
    cost += fmt::format(", {:.3f} per million tokens", plan.result.cost_per_mtok);
  }
  return plan.meets ? "The targets are met by " + cost + "."
                    : "No plan was found that meets the targets; the nearest has " + cost + ": " +
                          plan.shortfall + ".";
}

void print_plan(const sim::PlanTask& task, const sim::Plan& plan, std::uint64_t seed) {
  print(verdict(plan) + "\n\n");
  print_rows(site_rows(task, plan));
  print("\n");
  print_rows(loss_rows(task, plan));
  print(
      fmt::format("\nplan {}  seed {}  digest {:016x}  simulated {} times; first guess {} GPUs, "
                  "{:.2f} per hour\n",
                  task.scenario.name, seed, plan.digest, plan.runs, plan.guess_gpus,
                  plan.guess_price_per_hour));
}

// The plan, and beside it the loss of each site, as the cases of one page.
sim::Report plan_report(const sim::PlanTask& task, const sim::Plan& plan, std::uint64_t seed) {
  constexpr std::size_t kCasesMax = 16;
  sim::RunResult run;
  run.scenario = task.scenario.name;
  run.title = task.scenario.title;
  run.seed = seed;
  run.digest = plan.digest;
  run.duration_s = task.scenario.duration_s;
  for (std::size_t s = 0; s < task.scenario.sites.size(); ++s) {
    const sim::SiteSpec& site = task.scenario.sites[s];
    run.sites.push_back(
        {site.name, site.latitude, site.longitude, sim::gpu_count({plan.counts[s]})});
  }
  run.policies.push_back(plan.result);
  run.policies.back().policy = "all sites";
  for (const sim::SiteLoss& loss : plan.losses) {
    if (run.policies.size() == kCasesMax) break;
    run.policies.push_back(loss.result);
    run.policies.back().policy = "without " + task.scenario.sites[loss.site].name;
  }
  sim::Report report;
  report.runs.push_back(std::move(run));
  report.subject = "Case";
  report.headline = verdict(plan);
  report.tables.push_back(site_rows(task, plan));
  report.tables.push_back(loss_rows(task, plan));
  return report;
}

int run_plan(const PlanArguments& arguments) {
  auto task = sim::load_plan(arguments.file);
  if (!task) return report(task.error());
  const SystemClock clock;
  const bool terminal = use_colour(stderr);
  Instant shown{};
  sim::PlanOptions options;
  options.seed = arguments.seed;
  options.progress = [&](std::string_view phase, std::uint32_t runs, double price) {
    const Instant now = clock.now();
    if (now - shown < (terminal ? milliseconds{200} : milliseconds{10'000})) return;
    shown = now;
    const std::string line = fmt::format("{}: {} runs, {:.2f} per hour", phase, runs, price);
    if (terminal) {
      fmt::print(stderr, "\r{:<70}", line);
      std::fflush(stderr);
    } else {
      print_note(line);
    }
  };
  const auto plan = sim::make_plan(*task, options);
  if (terminal) fmt::print(stderr, "\r{:70}\r", "");
  if (!plan) return report(plan.error());
  if (!arguments.report.empty()) {
    auto written = write_report(plan_report(*task, *plan, arguments.seed), arguments.report);
    if (!written) return report(written.error());
    print_note("report written to " + arguments.report);
  }
  if (arguments.format == OutputFormat::Json) {
    print(json::value(plan_json(*task, *plan, arguments.seed)));
  } else {
    print_plan(*task, *plan, arguments.seed);
  }
  return plan->meets ? kExitOk : kExitError;
}

}  // namespace

void add_plan_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "plan", "Find how many GPUs of which kind where serve a demand within its targets");
  auto arguments = std::make_shared<PlanArguments>();
  command->add_option("FILE", arguments->file, "A scenario with candidates and targets (TOML)")
      ->required();
  command->add_option("--seed", arguments->seed, "Of all chance in the runs")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--report", arguments->report,
                      "Write the plan as one HTML page with plots to this file");
  add_output_option(*command, arguments->format);
  command->callback([arguments, &exit_code] { exit_code = run_plan(*arguments); });
  command->footer(
      "The status is 0 when the targets are met, 1 when no plan was found that meets them.\n"
      "Examples:\n"
      "  perigee plan plans/four-metros.toml\n"
      "  perigee plan plans/four-metros.toml --report plan.html -o json");
}

}  // namespace perigee::cli
