// Scenario files of the simulator.
#include <cmath>
#include <string>

#include "fuzz/fuzz.h"
#include "sim/scenario.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  const auto scenario = sim::parse_scenario(piece.view(), "/nowhere/scenario.toml", {});
  if (!scenario) {
    PERIGEE_PROPERTY(!scenario.error().message.empty());
    return;
  }
  const auto sites = scenario->sites.size();
  PERIGEE_PROPERTY(sites > 0);
  PERIGEE_PROPERTY(std::isfinite(scenario->duration_s) && scenario->duration_s > 0);
  for (const sim::SiteSpec& site : scenario->sites) {
    for (const sim::EngineGroup& group : site.engines) {
      PERIGEE_PROPERTY(group.kind < scenario->kinds.size());
    }
  }
  for (const sim::RttPair& pair : scenario->network.pairs) {
    PERIGEE_PROPERTY(pair.a < sites && pair.b < sites);
  }
}

}  // namespace perigee::fuzz
