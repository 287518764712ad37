#include <algorithm>
#include <charconv>
#include <filesystem>

#include "sim/csv.h"
#include "sim/scenario_reader.h"

namespace perigee::sim {
namespace {

constexpr double kYear_s = 366.0 * 86'400;

// Replaces or adds what `override_table` says, table by table; in each table of an array of them.
void merge(toml::table& into, const toml::table& override_table) {
  for (const auto& [key, node] : override_table) {
    toml::node* known = into.get(key);
    if (known != nullptr && known->is_table() && node.is_table()) {
      merge(*known->as_table(), *node.as_table());
    } else if (known != nullptr && known->is_array_of_tables() && node.is_table()) {
      for (toml::node& element : *known->as_array()) {
        merge(*element.as_table(), *node.as_table());
      }
    } else {
      into.insert_or_assign(key, node);
    }
  }
}

Error wrong(std::string what) { return Error{Code::InvalidArgument, std::move(what)}; }

Result<> check_workload(const Scenario& scenario, std::size_t index) {
  const WorkloadSpec& w = scenario.workloads[index];
  const std::string name = "workload " + std::to_string(index) + ": ";
  for (const std::uint32_t site : w.sites) {
    if (site >= scenario.sites.size()) return wrong(name + "names a site that does not exist");
  }
  if (w.arrivals == WorkloadSpec::Arrivals::Trace && w.trace == nullptr) {
    return wrong(name + "has no trace");
  }
  if (w.lengths.kind == LengthSpec::Kind::Trace && w.lengths.trace == nullptr) {
    return wrong(name + "has no trace to draw lengths from");
  }
  if (w.realtime + w.interactive + w.batch > 1.000001) {
    return wrong(name + "the shares of its classes are more than 1 together");
  }
  double users = 0;
  for (std::size_t s = 0; s < scenario.sites.size(); ++s) {
    const bool here = w.sites.empty() || std::ranges::find(w.sites, s) != w.sites.end();
    if (here) users += w.by_population ? scenario.sites[s].population : 1;
  }
  if (users <= 0) return wrong(name + "none of its sites has users");
  return {};
}

}  // namespace

Result<> check_scenario(const Scenario& scenario) {
  if (scenario.sites.empty()) return wrong("sites: there are none; add [[site]] or [cities]");
  if (scenario.kinds.empty()) return wrong("engine: there are none; add [[engine]]");
  if (scenario.tenants.empty()) return wrong("tenant: there are none");
  if (scenario.workloads.empty()) return wrong("workload: there are none; add [[workload]]");
  if (scenario.centre >= scenario.sites.size()) return wrong("centre: no such site");
  std::uint64_t engines = 0;
  for (const SiteSpec& site : scenario.sites) {
    for (const EngineGroup& group : site.engines) {
      if (group.kind >= scenario.kinds.size()) return wrong(site.name + ": no such engine kind");
      engines += group.count;
    }
  }
  if (engines == 0) return wrong("engines: no site has any; give some sites engines");
  if (engines > static_cast<std::uint64_t>(kEnginesMax))
    return wrong("engines: more than a million");
  const auto known = [&](const std::string& name) {
    return name.empty() ||
           std::ranges::find(scenario.sites, name, &SiteSpec::name) != scenario.sites.end();
  };
  for (const FaultRule& rule : scenario.faults) {
    const Fault& fault = rule.first;
    if (fault.end_s <= fault.at_s || !known(fault.site) || !known(fault.other) ||
        !std::ranges::all_of(rule.sites, known)) {
      return wrong("fault: names no site, or ends before it starts");
    }
  }
  for (std::size_t i = 0; i < scenario.workloads.size(); ++i) {
    PERIGEE_CHECK(check_workload(scenario, i));
  }
  return {};
}

Result<Scenario> load_scenario(const std::string& path, const std::vector<std::string>& overrides) {
  PERIGEE_TRY(text, read_file(path));
  return parse_scenario(text, path, overrides);
}

Result<Scenario> parse_scenario(std::string_view text, const std::string& path,
                                const std::vector<std::string>& overrides) {
  PERIGEE_TRY(table, parse_toml(text, path));
  for (const std::string& override_text : overrides) {
    PERIGEE_TRY(more, parse_toml(override_text, "--set " + override_text));
    merge(table, more);
  }
  PERIGEE_TRY(scenario, ScenarioReader(table, path).run());
  scenario.name = std::filesystem::path{path}.stem().string();
  if (auto checked = check_scenario(scenario); !checked) {
    return Error{checked.error().code, path + ": " + checked.error().message};
  }
  return scenario;
}

Result<Scenario> ScenarioReader::run() {
  PERIGEE_CHECK(read_run());
  PERIGEE_CHECK(read_engines());
  PERIGEE_CHECK(read_sites());
  PERIGEE_CHECK(read_tenants());
  PERIGEE_CHECK(read_network());
  PERIGEE_CHECK(read_digests());
  PERIGEE_CHECK(read_faults());
  PERIGEE_CHECK(read_workloads());
  PERIGEE_TRY(load, root_.number("load", 1, 0.001, 1'000));
  for (WorkloadSpec& workload : scenario_.workloads) {
    workload.rate *= load;
    workload.speedup *= load;
  }
  PERIGEE_TRY(centre, root_.string("centre", ""));
  if (!centre.empty()) {
    PERIGEE_TRY(number, site_named(root_, "centre", centre));
    scenario_.centre = number;
  }
  PERIGEE_CHECK(root_.finish(kScenarioManual));
  return std::move(scenario_);
}

Result<> ScenarioReader::read_run() {
  PERIGEE_TRY(title, root_.string("title", ""));
  scenario_.title = title;
  PERIGEE_TRY(duration, root_.number("duration_s", 600, 1, kYear_s));
  scenario_.duration_s = duration;
  PERIGEE_TRY(drain, root_.number("drain_s", 120, 0, 86'400));
  scenario_.drain_s = drain;
  PERIGEE_TRY(block, root_.integer("prefix_block_tokens", 64, 1, 65'536));
  scenario_.prefix_block_tokens = static_cast<std::uint32_t>(block);
  PERIGEE_TRY(attempts, root_.integer("attempts_max", 3, 1, 8));
  scenario_.attempts_max = static_cast<std::uint32_t>(attempts);
  PERIGEE_TRY(notice, root_.number("failure_notice_ms", 2'000, 0, 600'000));
  scenario_.failure_notice_ms = notice;
  PERIGEE_TRY(price, root_.number("backbone_price_per_gb", 0.01, 0, 1e6));
  scenario_.backbone_price_per_gb = price;
  PERIGEE_TRY(names, root_.strings("policies"));
  scenario_.policies = names;
  return {};
}

Result<> ScenarioReader::read_engines() {
  PERIGEE_TRY(tables, root_.tables("engine"));
  for (TomlTable& table : tables) PERIGEE_CHECK(read_engine(table));
  if (tables.empty()) return root_.error("engine", "at least one [[engine]] section");
  return {};
}

Result<> ScenarioReader::read_engine(TomlTable& table) {
  PERIGEE_TRY(name, table.required_string("name"));
  PERIGEE_TRY(gpu, table.required_string("gpu"));
  PERIGEE_TRY(weights, table.string("weights", "fp8"));
  PERIGEE_TRY(model, table.string("model", "llama-3.1-8b"));
  EngineProfile profile;
  if (gpu != "custom") {
    auto found = find_profile(gpu, weights, model);
    if (!found) return table.problem("gpu", found.error().message);
    profile = std::move(*found);
  } else if (profile.kv_tokens = 1'000'000; true) {
    profile.prefill_ms_per_1k = 1;
    profile.decode_base_ms = 1;
    profile.prefill_base_ms = 1;
  }
  profile.name = name;
  const auto number = [&](std::string_view key, double& value, double least) -> Result<> {
    PERIGEE_TRY(read, table.number(key, value, least, 1e7));
    value = read;
    return {};
  };
  PERIGEE_CHECK(number("decode_base_ms", profile.decode_base_ms, 1e-6));
  PERIGEE_CHECK(number("decode_ms_per_sequence", profile.decode_ms_per_sequence, 0));
  PERIGEE_CHECK(number("decode_ms_per_1k_kv", profile.decode_ms_per_1k_kv, 0));
  PERIGEE_CHECK(number("prefill_base_ms", profile.prefill_base_ms, 1e-6));
  PERIGEE_CHECK(number("prefill_ms_per_1k", profile.prefill_ms_per_1k, 0));
  PERIGEE_CHECK(number("prefill_ms_per_1k_squared", profile.prefill_ms_per_1k_squared, 0));
  PERIGEE_CHECK(number("overhead_ms", profile.overhead_ms, 0));
  PERIGEE_CHECK(number("price_per_hour", profile.price_per_hour, 0));
  PERIGEE_TRY(batch, table.integer("batch_max", profile.batch_max, 1, 1'000'000));
  profile.batch_max = static_cast<std::uint32_t>(batch);
  PERIGEE_TRY(tokens, table.integer("batch_tokens_max", profile.batch_tokens_max, 1, 10'000'000));
  profile.batch_tokens_max = static_cast<std::uint32_t>(tokens);
  PERIGEE_TRY(kv, table.integer("kv_tokens", static_cast<std::int64_t>(profile.kv_tokens), 1'024,
                                std::int64_t{1} << 40));
  profile.kv_tokens = static_cast<std::uint64_t>(kv);
  PERIGEE_TRY(queue, table.integer("queue_max", profile.queue_max, 1, 10'000'000));
  profile.queue_max = static_cast<std::uint32_t>(queue);
  if (!kind_names_.try_emplace(name, static_cast<std::uint32_t>(scenario_.kinds.size())).second) {
    return table.problem("name", "another engine has this name");
  }
  scenario_.kinds.push_back(std::move(profile));
  return table.finish(kScenarioManual);
}

Result<std::vector<EngineGroup>> ScenarioReader::engine_groups(TomlTable& table,
                                                               std::string_view key) {
  PERIGEE_TRY(texts, table.strings(key));
  std::vector<EngineGroup> groups;
  for (const std::string& text : texts) {
    EngineGroup group;
    std::string name = text;
    if (const std::size_t times = text.find(" x "); times != std::string::npos) {
      const auto [end, failed] = std::from_chars(text.data(), text.data() + times, group.count);
      if (failed != std::errc{} || end != text.data() + times || group.count < 1 ||
          group.count > 10'000) {
        return table.error(key, "\"NAME\" or \"COUNT x NAME\" with a count from 1 to 10000");
      }
      name = text.substr(times + 3);
    }
    const auto found = kind_names_.find(name);
    if (found == kind_names_.end()) {
      return table.problem(key, "no [[engine]] is named '" + name + "'");
    }
    group.kind = found->second;
    groups.push_back(group);
  }
  return groups;
}

Result<std::uint32_t> ScenarioReader::site_named(TomlTable& table, std::string_view key,
                                                 const std::string& name) {
  const auto found = site_names_.find(name);
  if (found == site_names_.end()) return table.problem(key, "no site is named '" + name + "'");
  return found->second;
}

Result<std::vector<std::uint32_t>> ScenarioReader::sites_named(TomlTable& table,
                                                               std::string_view key) {
  PERIGEE_TRY(names, table.strings(key));
  std::vector<std::uint32_t> sites;
  for (const std::string& name : names) {
    PERIGEE_TRY(site, site_named(table, key, name));
    sites.push_back(site);
  }
  return sites;
}

Result<> ScenarioReader::read_tenants() {
  PERIGEE_TRY(tables, root_.tables("tenant"));
  for (TomlTable& table : tables) {
    TenantSpec tenant;
    PERIGEE_TRY(name, table.required_string("name"));
    tenant.name = name;
    PERIGEE_TRY(weight, table.number("weight", 1, 0, 1e9));
    tenant.weight = weight;
    PERIGEE_TRY(laws, table.strings("jurisdictions"));
    tenant.jurisdictions = laws;
    PERIGEE_CHECK(table.finish(kScenarioManual));
    scenario_.tenants.push_back(std::move(tenant));
  }
  if (scenario_.tenants.empty()) scenario_.tenants.push_back({.name = "all", .jurisdictions = {}});
  double sum = 0;
  for (const TenantSpec& tenant : scenario_.tenants) sum += tenant.weight;
  if (sum <= 0) return root_.error("tenant", "a tenant with a weight above 0");
  return {};
}

}  // namespace perigee::sim
