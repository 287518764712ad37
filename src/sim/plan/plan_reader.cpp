#include <charconv>
#include <filesystem>

#include "sim/csv.h"
#include "sim/plan/plan.h"
#include "sim/policy.h"
#include "sim/scenario_reader.h"
#include "sim/simulation.h"

namespace perigee::sim {
namespace {

constexpr const char* kPlanManual = "docs/plan.md";
constexpr std::uint32_t kGpusMax = 1'000;  // of a kind at a site

using Texts = std::vector<std::string>;

Result<> read_targets(TomlTable& root, PlanTargets& targets) {
  PERIGEE_TRY(found, root.table("targets"));
  TomlTable table = found ? std::move(*found) : root.absent("targets");
  PERIGEE_TRY(attainment, table.number("attainment", targets.attainment, 0.01, 1));
  targets.attainment = attainment;
  PERIGEE_TRY(after, table.number("attainment_after_loss", 0, 0, 1));
  targets.attainment_after_loss = after;
  for (std::size_t c = 0; c < targets.ttft_ms_p99.size(); ++c) {
    const std::string key = "ttft_ms_p99_" + std::string{to_string(static_cast<ServiceClass>(c))};
    PERIGEE_TRY(limit, table.number(key, 0, 0, 1e7));
    targets.ttft_ms_p99[c] = limit;
  }
  return table.finish(kPlanManual);
}

Result<> read_search(TomlTable& root, PlanSearch& search) {
  PERIGEE_TRY(found, root.table("search"));
  TomlTable table = found ? std::move(*found) : root.absent("search");
  PERIGEE_TRY(length, table.number("short_s", search.short_s, 1, 1e6));
  search.short_s = length;
  PERIGEE_TRY(seeds, table.integer("seeds", search.seeds, 1, 100));
  search.seeds = static_cast<std::uint32_t>(seeds);
  PERIGEE_TRY(runs, table.integer("runs_max", search.runs_max, 1, 1'000'000));
  search.runs_max = static_cast<std::uint32_t>(runs);
  PERIGEE_TRY(policy, table.string("policy", search.policy));
  if (find_policy(policy) == nullptr) return table.error("policy", "the name of a policy");
  search.policy = policy;
  return table.finish(kPlanManual);
}

// Adds "l40s" or "8 x l40s" to the counts by kind.
bool add_candidate(const std::string& text, const Scenario& scenario,
                   std::vector<std::uint32_t>& counts) {
  std::uint32_t count = 1;
  std::string name = text;
  if (const std::size_t times = text.find(" x "); times != std::string::npos) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + times, count);
    if (failed != std::errc{} || end != text.data() + times || count < 1) return false;
    name = text.substr(times + 3);
  }
  for (std::size_t kind = 0; kind < scenario.kinds.size(); ++kind) {
    if (scenario.kinds[kind].name != name) continue;
    counts[kind] += std::min(count, kGpusMax + 1);
    return counts[kind] <= kGpusMax;
  }
  return false;
}

// Moves the engines of the sites into `least`.
void take_engines(PlanTask& task) {
  const std::vector<std::uint32_t> none(task.scenario.kinds.size(), 0);
  task.least.assign(task.scenario.sites.size(), none);
  for (std::size_t s = 0; s < task.scenario.sites.size(); ++s) {
    for (const EngineGroup& group : task.scenario.sites[s].engines) {
      task.least[s][group.kind] += group.count;
    }
    task.scenario.sites[s].engines.clear();
  }
  task.most = task.least;
}

}  // namespace

Result<PlanTask> load_plan(const std::string& path) {
  PERIGEE_TRY(text, read_file(path));
  return parse_plan(text, path);
}

Result<PlanTask> parse_plan(std::string_view text, const std::string& path) {
  PERIGEE_TRY(table, parse_toml(text, path));
  // What only plans have is read first, then taken out: the rest is a scenario.
  toml::table rest = table;
  PlanTask task;
  TomlTable root{table, "", path, nullptr};
  PERIGEE_CHECK(read_targets(root, task.targets));
  PERIGEE_CHECK(read_search(root, task.search));
  PERIGEE_TRY(everywhere, root.strings("candidates"));
  PERIGEE_TRY(sites, root.tables("site"));
  std::vector<Texts> of_sites;
  for (TomlTable& site : sites) {
    PERIGEE_TRY(texts, site.strings("candidates"));
    of_sites.push_back(std::move(texts));
  }
  for (const char* key : {"targets", "search", "candidates"}) rest.erase(key);
  if (toml::array* all = rest["site"].as_array(); all != nullptr) {
    for (toml::node& node : *all) {
      if (node.is_table()) node.as_table()->erase("candidates");
    }
  }
  PERIGEE_TRY(scenario, ScenarioReader(rest, path).run());
  task.scenario = std::move(scenario);
  task.scenario.name = std::filesystem::path{path}.stem().string();
  take_engines(task);
  std::uint32_t all = 0;
  for (std::size_t s = 0; s < task.scenario.sites.size(); ++s) {
    const bool own = s < of_sites.size() && !of_sites[s].empty();
    for (const std::string& candidate : own ? of_sites[s] : everywhere) {
      if (!add_candidate(candidate, task.scenario, task.most[s])) {
        return (own ? sites[s] : root)
            .error("candidates", "\"KIND\" or \"COUNT x KIND\", of an [[engine]], at most 1000");
      }
    }
    for (const std::uint32_t count : task.most[s]) all += count;
  }
  if (all == 0) return root.error("candidates", "GPUs that some site may have");
  auto checked = check_scenario(with_gpus(task.scenario, task.most));
  if (checked) checked = check_comparable(task.scenario);
  if (!checked) return Error{checked.error().code, path + ": " + checked.error().message};
  return task;
}

}  // namespace perigee::sim
