// Demand: what a workload asks for, seen by walking through it once without any engine.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/scenario.h"

namespace perigee::sim {

struct Demand {
  double busiest_s = 0;       // start of the window with the most tokens
  double window_s = 0;        // its length
  std::vector<double> rates;  // requests per second in it, by site
  // Means over all requests.
  double new_tokens = 0;  // of prompts, without what an earlier turn has left in a cache
  double in_tokens = 0;   // of prompts
  double out_tokens = 0;
  std::array<double, 4> shares{};  // of the classes
};

Demand demand_of(const Scenario& scenario, double window_s, std::uint64_t seed);

// The scenario from `start_s` on for `length_s`: bursts, hours, faults and traces moved along.
Scenario excerpt(const Scenario& scenario, double start_s, double length_s);

}  // namespace perigee::sim
