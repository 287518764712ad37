// ScenarioReader: from a TOML table to a Scenario, section by section. Internal to scenario*.cpp.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sim/scenario.h"
#include "toml/toml_table.h"

namespace perigee::sim {

inline constexpr const char* kScenarioManual = "docs/sim.md";
inline constexpr std::int64_t kSitesMax = 100'000;
inline constexpr std::int64_t kEnginesMax = 1'000'000;

class ScenarioReader {
 public:
  ScenarioReader(const toml::table& root, const std::string& file)
      : root_(root, "", file, nullptr), file_(file) {}
  Result<Scenario> run();

 private:
  Result<> read_run();
  Result<> read_engines();
  Result<> read_engine(TomlTable& table);
  Result<> read_tenants();
  Result<> read_network();
  Result<> read_links();
  Result<> read_digests();
  Result<> read_faults();
  // scenario_topology.cpp
  Result<> read_sites();
  Result<> read_site(TomlTable& table);
  Result<> read_cities(TomlTable& table);
  Result<> read_zoo(TomlTable& table);
  Result<> place_engines(TomlTable& table);
  // scenario_workload.cpp
  Result<> read_workloads();
  Result<> read_workload(TomlTable& table);
  Result<> read_arrivals(TomlTable& table, WorkloadSpec& spec);
  Result<> read_lengths(TomlTable& table, WorkloadSpec& spec);
  Result<> read_users(TomlTable& table, WorkloadSpec& spec);
  Result<> read_bursts(TomlTable& table, WorkloadSpec& spec);
  Result<std::shared_ptr<const Trace>> trace(TomlTable& table, std::string_view key);

  // The engines of a site, written ["l40s", "2 x h100"] by the names of [[engine]].
  Result<std::vector<EngineGroup>> engine_groups(TomlTable& table, std::string_view key);
  Result<std::uint32_t> site_named(TomlTable& table, std::string_view key, const std::string& name);
  Result<std::vector<std::uint32_t>> sites_named(TomlTable& table, std::string_view key);

  TomlTable root_;
  std::string file_;
  Scenario scenario_;
  std::map<std::string, std::uint32_t> kind_names_;
  std::map<std::string, std::uint32_t> site_names_;
  std::map<std::string, std::shared_ptr<const Trace>> traces_;
};

}  // namespace perigee::sim
