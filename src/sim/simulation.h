// Runs a scenario under a policy in virtual time. One thread, no IO; the same scenario, policy and
// seed give the same result on every machine, but for `decisions_per_s` and `wall_s`.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "sim/policy.h"
#include "sim/result.h"
#include "sim/scenario.h"

namespace perigee::sim {

struct RunOptions {
  std::uint64_t seed = 1;
  const Clock* clock = nullptr;  // to measure decisions and wall time; null: both are 0
  // Told the share done, 0..1, some hundred times per run; may be empty.
  std::function<void(std::string_view policy, double share)> progress;
};

// InvalidArgument when the scenario has kinds of faults that only trials know (docs/faults.md).
Result<> check_comparable(const Scenario& scenario);

// `scenario` must have passed check_scenario() and check_comparable().
PolicyResult simulate(const Scenario& scenario, const PolicyEntry& policy,
                      const RunOptions& options);

// All of `names` in turn (all policies when empty). NotFound lists the policies there are.
Result<RunResult> simulate_all(const Scenario& scenario, const std::vector<std::string>& names,
                               const RunOptions& options);

}  // namespace perigee::sim
