// Planner: the search over the simulator. Internal to plan.cpp and planner*.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/plan/demand.h"
#include "sim/plan/plan.h"
#include "sim/policy.h"

namespace perigee::sim {

// How far a result is from the targets; 0: it meets them. Comparable between plans of one task.
double shortfall_of(const PolicyResult& result, const PlanTargets& targets);
// The same in words; "" when it meets them.
std::string shortfall_text(const PolicyResult& result, const PlanTargets& targets);

class Planner {
 public:
  Planner(const PlanTask& task, const PolicyEntry& policy, const PlanOptions& options);
  Plan run();

 private:
  struct Move {
    std::size_t site = 0;
    std::size_t kind = 0;
  };
  // What a plan is judged by: short runs of the busiest time, or whole runs with all seeds.
  enum class Depth : std::uint8_t { Short, Whole };

  PolicyResult simulated(const Scenario& scenario, std::uint64_t seed);
  Scenario without_site(const GpuCounts& counts, std::uint32_t site) const;
  // 0: all targets are met.
  double shortfall(const GpuCounts& counts, Depth depth);
  double whole_shortfall(const GpuCounts& counts);
  double loss_shortfall(const GpuCounts& counts);
  bool budget_left() const { return runs_ < task_.search.runs_max; }

  std::vector<Move> additions(const GpuCounts& counts) const;
  std::vector<Move> removals(const GpuCounts& counts) const;
  double price(std::size_t kind) const { return task_.scenario.kinds[kind].price_per_hour; }
  bool add_best(GpuCounts& counts, Depth depth);
  void fill(GpuCounts& counts, Depth depth, std::string_view phase);
  void trim(GpuCounts& counts, Depth depth, std::string_view phase);
  void swap(GpuCounts& counts, Depth depth, std::string_view phase);
  void tell(std::string_view phase, const GpuCounts& counts) const;
  void conclude(Plan& plan);

  const PlanTask& task_;
  const PolicyEntry& policy_;
  const PlanOptions& options_;
  Demand demand_;
  Scenario short_;
  std::uint32_t runs_ = 0;
  std::vector<double> need_;  // by site: requests of its users that missed, in the last short run
  std::map<std::pair<Depth, GpuCounts>, double> known_;
};

}  // namespace perigee::sim
