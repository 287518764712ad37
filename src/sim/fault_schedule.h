// The faults of a scenario in virtual time: by number instead of by name.
#pragma once

#include <cstdint>
#include <vector>

#include "fault/fault_timeline.h"
#include "sim/event_queue.h"
#include "sim/scenario.h"

namespace perigee::sim {

struct SiteFault {
  static constexpr std::uint32_t kAll = 0xffff'ffff;

  FaultKind kind = FaultKind::Kill;
  std::uint32_t site = kAll;    // kAll: ControlDown has none
  std::uint32_t engine = kAll;  // kAll: all of the site
  bool link = false;            // between `site` and `other`
  std::uint32_t other = kAll;   // of a link; kAll: all other sites
  Nanos start = 0;
  Nanos end = kNever;
  double factor = 1;
  double added_ms = 0;
  double share = 0;
  double jump_s = 0;
};

// In the order of their beginnings; the same for the same seed. The scenario has passed
// check_scenario(): its rules name its sites only.
std::vector<SiteFault> fault_schedule(const Scenario& scenario, std::uint64_t seed);

}  // namespace perigee::sim
