// Plan: how many GPUs of which kind at which site, so that a demand is served within its targets at
// least cost. A fast analytic first guess (first_guess.h), then a search over the simulator that
// adds, removes and swaps GPUs. What it finds is checked on whole runs with several seeds; that
// nothing cheaper exists is not proven. One thread; the same task and seed give the same plan.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/result.h"
#include "sim/scenario.h"

namespace perigee::sim {

// GPUs by site and kind: counts[site][kind], as numbered in the scenario.
using GpuCounts = std::vector<std::vector<std::uint32_t>>;

struct PlanTargets {
  double attainment = 0.99;             // share of requests inside their class's targets
  std::array<double, 4> ttft_ms_p99{};  // by ServiceClass; 0: the class's own target will do
  double attainment_after_loss = 0;     // with any one site lost; 0: not asked for
};

struct PlanSearch {
  double short_s = 60;           // length of short runs, of the busiest time
  std::uint32_t seeds = 2;       // that the plan must hold for, on whole runs
  std::uint32_t runs_max = 400;  // of the simulator; then the search ends with what it has
  std::string policy = "perigee";
};

struct PlanTask {
  Scenario scenario;  // its sites without engines
  GpuCounts least;    // stand there already, and stay
  GpuCounts most;     // may stand there, with those of `least`
  PlanTargets targets;
  PlanSearch search;
};

struct SiteLoss {
  std::uint32_t site = 0;
  std::uint32_t gpus = 0;  // lost with it
  bool holds = false;      // targets.attainment_after_loss; targets.attainment when that is 0
  PolicyResult result;     // the site fails after a tenth of the run and stays away
};

struct Plan {
  GpuCounts counts;
  std::uint32_t gpus = 0;
  double price_per_hour = 0;
  bool meets = false;     // all targets, for every seed
  std::string shortfall;  // when not: what is missed, in words
  PolicyResult result;    // whole run, first seed
  std::uint64_t digest = 0;
  GpuCounts guess;
  std::uint32_t guess_gpus = 0;
  double guess_price_per_hour = 0;
  std::vector<SiteLoss> losses;  // of sites that have GPUs
  std::uint32_t runs = 0;        // of the simulator
};

struct PlanOptions {
  std::uint64_t seed = 1;
  // Told what is being done, and how many runs were; may be empty.
  std::function<void(std::string_view phase, std::uint32_t runs, double price_per_hour)> progress;
};

// A scenario file (docs/sim.md) with `candidates = ["8 x l40s"]` in the root or in [[site]], and
// sections [targets] and [search] (docs/plan.md). InvalidArgument "FILE:LINE: KEY: WHAT".
Result<PlanTask> load_plan(const std::string& path);
Result<PlanTask> parse_plan(std::string_view text, const std::string& path);

// NotFound when the policy does not exist.
Result<Plan> make_plan(const PlanTask& task, const PlanOptions& options);

// The scenario with these GPUs.
Scenario with_gpus(const Scenario& scenario, const GpuCounts& counts);
double price_per_hour(const Scenario& scenario, const GpuCounts& counts);
std::uint32_t gpu_count(const GpuCounts& counts);

}  // namespace perigee::sim
