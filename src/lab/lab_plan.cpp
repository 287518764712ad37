#include "lab/lab_plan.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "demo/demo_plan.h"
#include "toml/toml_table.h"

namespace perigee::lab {
namespace {

constexpr double kSecondsMax = 3600;
constexpr std::array<ServiceClass, 4> kClasses = {ServiceClass::Realtime, ServiceClass::Interactive,
                                                  ServiceClass::Standard, ServiceClass::Batch};
// What the lab can do to real processes: all but `mute`, which shares its connections.
constexpr std::array kAble = {FaultKind::Kill,     FaultKind::Stop,      FaultKind::Slow,
                              FaultKind::Cut,      FaultKind::CutOneWay, FaultKind::Corrupt,
                              FaultKind::DiskFull, FaultKind::ClockJump, FaultKind::ControlDown};

class LabReader {
 public:
  LabReader(const toml::table& table, const std::string& path)
      : root_(table, "", path, nullptr), path_(path) {}

  Result<LabPlan> run() {
    plan_.name = std::filesystem::path{path_}.stem().string();
    PERIGEE_TRY(title, root_.string("title", ""));
    plan_.title = title;
    PERIGEE_CHECK(read_grid());
    PERIGEE_TRY(sites, demo::plan_sites(plan_.sites));
    for (const demo::PlannedSite& site : sites) names_.push_back(site.name.str());
    PERIGEE_TRY(workload, root_.table("workload"));
    if (!workload) return root_.error("workload", "a [workload] section");
    PERIGEE_CHECK(read_workload(*workload));
    PERIGEE_TRY(checks, root_.table("checks"));
    if (checks) PERIGEE_CHECK(read_checks(*checks));
    PERIGEE_TRY(faults, read_faults(root_, names_, kLoadSecondsMax));
    PERIGEE_CHECK(check_kinds(faults, kAble, "perigee lab"));
    plan_.faults = std::move(faults);
    PERIGEE_CHECK(read_restarts());
    PERIGEE_CHECK(root_.finish(kLabManual));
    return std::move(plan_);
  }

 private:
  Result<> read_grid() {
    PERIGEE_TRY(section, root_.table("grid"));
    TomlTable grid = section ? std::move(*section) : root_.absent("grid");
    PERIGEE_TRY(sites, grid.integer("sites", 6, demo::kSitesMin, demo::kSitesMax));
    PERIGEE_TRY(seed, grid.integer("seed", 1, 0, std::int64_t{1} << 53));
    PERIGEE_TRY(least, grid.integer("serving_sites_min", 2, 0, demo::kSitesMax));
    plan_.sites = static_cast<std::size_t>(sites);
    plan_.seed = static_cast<std::uint64_t>(seed);
    plan_.serving_sites_min = static_cast<std::uint32_t>(least);
    return grid.finish(kLabManual);
  }

  Result<> read_workload(TomlTable& table) {
    WorkloadSpec& spec = plan_.workload;
    PERIGEE_TRY(requests, table.integer("requests", spec.requests, 1, kRequestsMax));
    PERIGEE_TRY(at_once, table.integer("at_once", spec.at_once, 1, kAtOnceMax));
    PERIGEE_TRY(rate, table.number("rate", 0, 0, 1e6));
    PERIGEE_TRY(tokens, table.integer("tokens_max", spec.tokens_max, 16, 512));
    PERIGEE_TRY(move_on, table.boolean("move_on", false));
    PERIGEE_TRY(ingress, table.strings("ingress"));
    spec.requests = static_cast<std::uint32_t>(requests);
    spec.at_once = static_cast<std::uint32_t>(at_once);
    spec.rate = rate;
    spec.tokens_max = static_cast<std::uint32_t>(tokens);
    spec.move_on = move_on;
    for (const std::string& name : ingress) {
      if (std::ranges::find(names_, name) == names_.end()) {
        return table.problem("ingress", "no site is named '" + name + "'");
      }
      spec.ingress.emplace_back(name);
    }
    if (spec.ingress.empty()) spec.ingress.emplace_back("cell-strasbourg");
    PERIGEE_CHECK(read_kinds(table));
    PERIGEE_CHECK(read_classes(table));
    return table.finish(kLabManual);
  }

  Result<> read_kinds(TomlTable& table) {
    PERIGEE_TRY(section, table.table("kinds"));
    auto& weights = plan_.workload.kinds;
    if (!section) {
      weights.fill(1);
      return {};
    }
    double total = 0;
    for (std::size_t i = 0; i < kRequestKinds; ++i) {
      PERIGEE_TRY(weight, section->number(kRequestKindNames.at(i), 0, 0, 1e6));
      weights.at(i) = weight;
      total += weight;
    }
    if (total <= 0) return table.error("kinds", "a weight above 0 for at least one kind");
    return section->finish(kLabManual);
  }

  Result<> read_classes(TomlTable& table) {
    PERIGEE_TRY(section, table.table("classes"));
    auto& weights = plan_.workload.classes;
    weights[static_cast<std::size_t>(ServiceClass::Standard)] = 1;
    if (!section) return {};
    double total = 0;
    for (std::size_t i = 0; i < kClasses.size(); ++i) {
      PERIGEE_TRY(weight, section->number(to_string(kClasses.at(i)), 0, 0, 1e6));
      weights.at(i) = weight;
      total += weight;
    }
    if (total <= 0) return table.error("classes", "a weight above 0 for at least one class");
    return section->finish(kLabManual);
  }

  Result<> read_restarts() {
    PERIGEE_TRY(tables, root_.tables("restart"));
    for (TomlTable& table : tables) {
      PERIGEE_TRY(name, table.required_string("site"));
      if (std::ranges::find(names_, name) == names_.end()) {
        return table.problem("site", "no site is named '" + name + "'");
      }
      PERIGEE_TRY(at, table.number("at_s", 0, 0, kSecondsMax));
      plan_.restarts.push_back({SiteId{name}, at});
      PERIGEE_CHECK(table.finish(kLabManual));
    }
    std::ranges::sort(plan_.restarts, {}, &RestartSpec::at_s);
    return {};
  }

  Result<> read_checks(TomlTable& table) {
    CheckSpec& spec = plan_.checks;
    PERIGEE_TRY(undisturbed, table.boolean("undisturbed", spec.undisturbed));
    PERIGEE_TRY(refusals, table.boolean("refusals", spec.refusals));
    PERIGEE_TRY(complete, table.number("complete_min", spec.complete_min, 0, 1));
    PERIGEE_TRY(texts, table.boolean("texts", spec.texts));
    PERIGEE_TRY(tolerance, table.number("logit_tolerance", spec.logit_tolerance, 0, 10));
    PERIGEE_TRY(gap, table.number("gap_ms_p99_max", 0, 0, kSecondsMax * 1000));
    PERIGEE_TRY(routing, table.number("routing_ms_max", 0, 0, kSecondsMax * 1000));
    PERIGEE_TRY(memory, table.number("memory_growth_mib_max", spec.memory_growth_mib_max, 0, 1e6));
    PERIGEE_TRY(files,
                table.integer("descriptor_growth_max", spec.descriptor_growth_max, 0, 1'000'000));
    PERIGEE_TRY(records, table.boolean("records", spec.records));
    spec = {undisturbed, refusals, complete, texts, tolerance,
            gap,         routing,  memory,   files, records};
    return table.finish(kLabManual);
  }

  TomlTable root_;
  std::string path_;
  std::vector<std::string> names_;
  LabPlan plan_;
};

}  // namespace

Result<LabPlan> parse_lab(std::string_view text, const std::string& path) {
  PERIGEE_TRY(table, parse_toml(text, path));
  return LabReader{table, path}.run();
}

Result<LabPlan> load_lab(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    return Error{Code::NotFound, "can't read " + path +
                                     "; `perigee lab --list` names those that "
                                     "ship with it"};
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse_lab(text.str(), path);
}

}  // namespace perigee::lab
