#include "control/control_metrics.h"

#include <array>
#include <utility>

namespace perigee::control {

ControlMetrics::ControlMetrics(std::string_view version)
    : revision_(registry_.gauge({"perigee_directory_revision", "Of the newest change"})),
      rows_(registry_.gauge({"perigee_directory_rows", "Rows of the directory", {"kind"}})),
      watches_(registry_.gauge(
          {"perigee_control_watches", "Who follows the directory now: a site each"})),
      connections_(registry_.gauge({"perigee_connections", "Open connections"})),
      audit_lines_(registry_.gauge({"perigee_audit_lines", "Lines of the audit log"})),
      usage_records_(registry_.counter({"perigee_usage_records_total",
                                        "Usage records that sites delivered, by what came of them",
                                        {"result"}})),
      usage_full_(registry_.counter({"perigee_usage_aside_full_total",
                                     "Deliveries sent back: their site has too much aside"})),
      usage_aside_(registry_.gauge(
          {"perigee_usage_aside_records", "Usage records that wait for an operator", {"reason"}})),
      keys_fetched_(registry_.gauge({"perigee_issuer_keys_fetched_timestamp_seconds",
                                     "When an issuer's keys were last fetched, since 1970",
                                     {"issuer"}})),
      keys_failures_(registry_.gauge({"perigee_issuer_keys_failures",
                                      "Fetches of an issuer's keys that failed in a row",
                                      {"issuer"}})) {
  registry_.add_build_info(version, "");
}

namespace {

// The counter stands where `total` does.
void raise(metrics::Counter& counter, std::uint64_t total) { counter.add(total - counter.value()); }

}  // namespace

std::string ControlMetrics::exposition(const DirectorySnapshot& directory,
                                       const ControlFigures& figures) {
  revision_.with({}).set(static_cast<double>(directory.revision));
  const std::array<std::pair<std::string_view, std::size_t>, 6> counts{
      {{"site", directory.sites.size()},
       {"model", directory.models.size()},
       {"placement", directory.placements.size()},
       {"tenant", directory.tenants.size()},
       {"key", directory.keys.size()},
       {"issuer", directory.issuers.size()}}};
  for (const auto& [kind, count] : counts) rows_.with({kind}).set(static_cast<double>(count));
  watches_.with({}).set(static_cast<double>(figures.watches));
  connections_.with({}).set(static_cast<double>(figures.connections));
  audit_lines_.with({}).set(static_cast<double>(figures.audit_lines));
  const UsageCounts& usage = figures.usage;
  raise(usage_records_.with({"stored"}), usage.stored);
  raise(usage_records_.with({"known"}), usage.known);
  raise(usage_records_.with({"aside"}), usage.aside);
  raise(usage_records_.with({"refused"}), usage.refused);
  raise(usage_full_.with({}), usage.full);
  for (std::size_t i = 0; i < kAsideReasons; ++i) {
    const auto reason = static_cast<AsideReason>(i);
    const auto found = usage.aside_now.find(reason);
    const std::size_t count = found == usage.aside_now.end() ? 0 : found->second;
    usage_aside_.with({to_string(reason)}).set(static_cast<double>(count));
  }
  keys_fetched_.clear();
  keys_failures_.clear();
  for (const auto& [id, state] : figures.issuers) {
    keys_failures_.with({id}).set(state.failures);
    if (state.fetched.micros == 0) continue;
    keys_fetched_.with({id}).set(static_cast<double>(state.fetched.micros) / 1e6);
  }
  return registry_.exposition();
}

}  // namespace perigee::control
