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
      audit_lines_(registry_.gauge({"perigee_audit_lines", "Lines of the audit log"})) {
  registry_.add_build_info(version, "");
}

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
  return registry_.exposition();
}

}  // namespace perigee::control
