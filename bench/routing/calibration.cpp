#include "calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runs.h"

namespace perigee::bench {
namespace {

constexpr double kStep = 1.1;  // of the load, until the wanted share is between two
constexpr double kLoadLeast = 0.1;
constexpr double kLoadMost = 16;
constexpr double kNear = 0.01;     // of the wanted share
constexpr double kFinest = 1.005;  // ratio of two loads that need no telling apart
constexpr double kFarBehind = 0.2;

Result<Calibration> attempt(const std::string& file, CalibrationOptions& options, double load) {
  std::vector<std::string> overrides = options.overrides;
  overrides.push_back(fmt::format("load = {:.4f}", load));
  PERIGEE_TRY(scenario, sim::load_scenario(file, overrides));
  std::vector<Run> runs;
  for (const sim::PolicyEntry* policy : options.baselines) {
    for (const std::uint64_t seed : options.seeds) runs.push_back({&scenario, policy, seed});
  }
  std::vector<double> attained(options.baselines.size());
  const std::size_t seeds = options.seeds.size();
  run_all(runs, options.threads, [&](std::size_t i, const sim::PolicyResult& result) {
    attained[i / seeds] += result.attainment / static_cast<double>(seeds);
  });
  const auto best = std::ranges::max_element(attained) - attained.begin();
  const auto position = static_cast<std::size_t>(best);
  Calibration found{load, attained[position], std::string{options.baselines[position]->name}};
  if (options.tried) options.tried(found.load, found.attainment, found.best);
  if (found.attainment < options.attainment) return found;
  std::vector<const sim::PolicyEntry*> kept;
  for (std::size_t i = 0; i < attained.size(); ++i) {
    if (attained[i] > found.attainment - kFarBehind) kept.push_back(options.baselines[i]);
  }
  options.baselines = std::move(kept);
  return found;
}

}  // namespace

Result<Calibration> calibrate(const std::string& file, CalibrationOptions options) {
  PERIGEE_TRY(found, attempt(file, options, 1));
  double low = found.attainment >= options.attainment ? 1 : 0;  // attains more; 0: none is known
  double high = low > 0 ? 0 : 1;                                // attains less
  const auto near = [&] { return std::abs(found.attainment - options.attainment) <= kNear; };
  while (!near()) {
    double load = std::sqrt(low * high);
    if (high <= 0) load = low * kStep;
    if (low <= 0) load = high / kStep;
    if (load < kLoadLeast || load > kLoadMost) break;
    if (low > 0 && high > 0 && high / low < kFinest) break;
    PERIGEE_TRY(next, attempt(file, options, load));
    found = next;
    (found.attainment >= options.attainment ? low : high) = load;
  }
  return found;
}

}  // namespace perigee::bench
