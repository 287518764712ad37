#include "sim/fault_schedule.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace perigee::sim {

std::vector<SiteFault> fault_schedule(const Scenario& scenario, std::uint64_t seed) {
  const auto number = [&](const std::string& name) {
    const auto found = std::ranges::find(scenario.sites, name, &SiteSpec::name);
    PERIGEE_ASSERT(found != scenario.sites.end());
    return static_cast<std::uint32_t>(found - scenario.sites.begin());
  };
  std::vector<SiteFault> schedule;
  for (const Fault& fault : fault_timeline(scenario.faults, seed)) {
    SiteFault one;
    one.kind = fault.kind;
    if (!fault.site.empty()) one.site = number(fault.site);
    if (fault.engine) one.engine = *fault.engine;
    one.link = fault.link;
    if (!fault.other.empty()) one.other = number(fault.other);
    one.start = nanos_from_s(fault.at_s);
    if (std::isfinite(fault.end_s)) one.end = nanos_from_s(fault.end_s);
    one.factor = fault.factor;
    one.added_ms = fault.added_ms;
    one.share = fault.share;
    one.jump_s = fault.jump_s;
    schedule.push_back(one);
  }
  return schedule;
}

}  // namespace perigee::sim
