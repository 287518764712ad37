// [[workload]].
#include "sim/scenario_reader.h"
#include "sim/trace.h"

namespace perigee::sim {

Result<std::shared_ptr<const Trace>> ScenarioReader::trace(TomlTable& table, std::string_view key) {
  PERIGEE_TRY(path, table.required_path(key));
  auto& known = traces_[path];
  if (known == nullptr) {
    auto read = read_trace(path);
    if (!read) return table.problem(key, read.error().message);
    known = std::move(*read);
  }
  return known;
}

Result<> ScenarioReader::read_workloads() {
  PERIGEE_TRY(tables, root_.tables("workload"));
  if (tables.empty()) return root_.error("workload", "at least one [[workload]] section");
  for (TomlTable& table : tables) PERIGEE_CHECK(read_workload(table));
  return {};
}

Result<> ScenarioReader::read_workload(TomlTable& table) {
  WorkloadSpec spec;
  PERIGEE_CHECK(read_arrivals(table, spec));
  PERIGEE_CHECK(read_lengths(table, spec));
  PERIGEE_CHECK(read_users(table, spec));
  PERIGEE_CHECK(read_bursts(table, spec));
  scenario_.workloads.push_back(std::move(spec));
  return table.finish(kScenarioManual);
}

Result<> ScenarioReader::read_arrivals(TomlTable& table, WorkloadSpec& spec) {
  PERIGEE_TRY(arrivals, table.string("arrivals", "poisson"));
  if (arrivals == "trace") {
    spec.arrivals = WorkloadSpec::Arrivals::Trace;
    PERIGEE_TRY(records, trace(table, "trace"));
    spec.trace = records;
    PERIGEE_TRY(speedup, table.number("speedup", 1, 1e-3, 1e6));
    spec.speedup = speedup;
  } else {
    if (arrivals == "gamma") {
      spec.arrivals = WorkloadSpec::Arrivals::Gamma;
    } else if (arrivals == "weibull") {
      spec.arrivals = WorkloadSpec::Arrivals::Weibull;
    } else if (arrivals != "poisson") {
      return table.error("arrivals", "poisson, gamma, weibull or trace");
    }
    PERIGEE_TRY(rate, table.number("rate", 1, 1e-6, 1e7));
    spec.rate = rate;
    PERIGEE_TRY(cv, table.number("cv", spec.cv, 0.2, 10));
    spec.cv = cv;
    PERIGEE_TRY(clients, table.integer("clients", 0, 0, 10'000));
    spec.clients = static_cast<std::uint32_t>(clients);
    PERIGEE_TRY(skew, table.number("client_skew", spec.client_skew, 0, 5));
    spec.client_skew = skew;
    PERIGEE_TRY(diurnal, table.boolean("diurnal", false));
    spec.diurnal = diurnal;
    PERIGEE_TRY(hour, table.number("start_hour_utc", 0, 0, 24));
    spec.start_hour_utc = hour;
  }
  PERIGEE_TRY(start, table.number("start_s", 0, 0, 1e8));
  if (start >= scenario_.duration_s) return table.error("start_s", "a time before duration_s");
  PERIGEE_TRY(end, table.number("end_s", 0, 0, 1e8));
  if (end > 0 && end <= start) return table.error("end_s", "a time after start_s");
  spec.start_s = start;
  spec.end_s = end;
  return {};
}

Result<> ScenarioReader::read_lengths(TomlTable& table, WorkloadSpec& spec) {
  LengthSpec& lengths = spec.lengths;
  PERIGEE_TRY(in_max, table.integer("in_max", lengths.in_max, 1, 16'000'000));
  PERIGEE_TRY(out_max, table.integer("out_max", lengths.out_max, 1, 1'000'000));
  lengths.in_max = static_cast<std::uint32_t>(in_max);
  lengths.out_max = static_cast<std::uint32_t>(out_max);
  if (spec.arrivals == WorkloadSpec::Arrivals::Trace) return {};
  PERIGEE_TRY(kind, table.string("lengths", "lognormal"));
  if (kind == "trace") {
    lengths.kind = LengthSpec::Kind::Trace;
    PERIGEE_TRY(records, trace(table, "trace"));
    lengths.trace = records;
    return {};
  }
  if (kind != "fixed" && kind != "lognormal") {
    return table.error("lengths", "fixed, lognormal or trace");
  }
  lengths.kind = kind == "fixed" ? LengthSpec::Kind::Fixed : LengthSpec::Kind::Lognormal;
  PERIGEE_TRY(in, table.number("in_tokens", lengths.in_mean, 1, 1e7));
  lengths.in_mean = in;
  PERIGEE_TRY(out, table.number("out_tokens", lengths.out_mean, 1, 1e6));
  lengths.out_mean = out;
  if (kind == "fixed") return {};
  PERIGEE_TRY(in_sigma, table.number("in_sigma", lengths.in_sigma, 0, 4));
  lengths.in_sigma = in_sigma;
  PERIGEE_TRY(out_sigma, table.number("out_sigma", lengths.out_sigma, 0, 4));
  lengths.out_sigma = out_sigma;
  return {};
}

Result<> ScenarioReader::read_users(TomlTable& table, WorkloadSpec& spec) {
  PERIGEE_TRY(sites, sites_named(table, "sites"));
  spec.sites = sites;
  PERIGEE_TRY(by_population, table.boolean("by_population", true));
  spec.by_population = by_population;
  PERIGEE_TRY(realtime, table.number("realtime", 0, 0, 1));
  PERIGEE_TRY(interactive, table.number("interactive", 0, 0, 1));
  PERIGEE_TRY(batch, table.number("batch", 0, 0, 1));
  if (realtime + interactive + batch > 1.000001) {
    return table.problem("realtime", "the shares of the classes are more than 1 together");
  }
  spec.realtime = realtime;
  spec.interactive = interactive;
  spec.batch = batch;
  PERIGEE_TRY(deadline, table.number("deadline_s", 0, 0, 1e6));
  spec.deadline_s = deadline;
  if (spec.arrivals == WorkloadSpec::Arrivals::Trace) return {};
  PERIGEE_TRY(turns, table.number("turns", 1, 1, 10'000));
  spec.turns = turns;
  PERIGEE_TRY(think, table.number("think_s", spec.think_s, 0, 1e6));
  spec.think_s = think;
  PERIGEE_TRY(system, table.integer("system_prompt_tokens", 0, 0, 1'000'000));
  spec.system_prompt_tokens = static_cast<std::uint32_t>(system);
  PERIGEE_TRY(applications, table.integer("applications", 1, 1, 1'000'000));
  spec.applications = static_cast<std::uint32_t>(applications);
  PERIGEE_TRY(moves, table.number("moves_per_minute", 0, 0, 1'000));
  spec.moves_per_minute = moves;
  return {};
}

Result<> ScenarioReader::read_bursts(TomlTable& table, WorkloadSpec& spec) {
  if (spec.arrivals == WorkloadSpec::Arrivals::Trace) return {};
  PERIGEE_TRY(tables, table.tables("burst"));
  for (TomlTable& section : tables) {
    BurstSpec burst;
    PERIGEE_TRY(start, section.number("start_s", 0, 0, 1e8));
    PERIGEE_TRY(end, section.number("end_s", scenario_.duration_s, 0, 1e8));
    if (end <= start) return section.error("end_s", "a time after start_s");
    PERIGEE_TRY(factor, section.number("factor", 2, 0, 10'000));
    PERIGEE_TRY(sites, sites_named(section, "sites"));
    burst.start_s = start;
    burst.end_s = end;
    burst.factor = factor;
    burst.sites = sites;
    PERIGEE_CHECK(section.finish(kScenarioManual));
    spec.bursts.push_back(std::move(burst));
  }
  return {};
}

}  // namespace perigee::sim
