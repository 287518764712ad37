// Runs many simulations side by side, each on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "sim/simulation.h"

namespace perigee::bench {

struct Run {
  const sim::Scenario* scenario = nullptr;
  const sim::PolicyEntry* policy = nullptr;
  std::uint64_t seed = 1;
};

// Runs all of `runs` in order on `threads` threads; `done` gets each one's position and result, one
// at a time, in the order in which they end.
void run_all(std::span<const Run> runs, unsigned threads,
             const std::function<void(std::size_t, const sim::PolicyResult&)>& done);

}  // namespace perigee::bench
