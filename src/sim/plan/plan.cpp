#include "sim/plan/plan.h"

#include <fmt/format.h>

#include "sim/plan/planner.h"
#include "sim/policy.h"

namespace perigee::sim {

Scenario with_gpus(const Scenario& scenario, const GpuCounts& counts) {
  Scenario built = scenario;
  for (std::size_t s = 0; s < built.sites.size() && s < counts.size(); ++s) {
    built.sites[s].engines.clear();
    for (std::size_t k = 0; k < counts[s].size(); ++k) {
      if (counts[s][k] == 0) continue;
      built.sites[s].engines.push_back(
          {.kind = static_cast<std::uint32_t>(k), .count = counts[s][k]});
    }
  }
  return built;
}

double price_per_hour(const Scenario& scenario, const GpuCounts& counts) {
  double sum = 0;
  for (const auto& site : counts) {
    for (std::size_t k = 0; k < site.size(); ++k) sum += site[k] * scenario.kinds[k].price_per_hour;
  }
  return sum;
}

std::uint32_t gpu_count(const GpuCounts& counts) {
  std::uint32_t sum = 0;
  for (const auto& site : counts) {
    for (const std::uint32_t count : site) sum += count;
  }
  return sum;
}

std::string shortfall_text(const PolicyResult& result, const PlanTargets& targets) {
  std::string text;
  if (result.attainment < targets.attainment) {
    text = fmt::format("{:.2f} % of requests are inside their targets, {:.2f} % were asked for",
                       result.attainment * 100, targets.attainment * 100);
  }
  for (const ClassResult& c : result.classes) {
    const double limit = targets.ttft_ms_p99[static_cast<std::size_t>(c.service_class)];
    if (limit <= 0 || !(c.ttft_ms.p99 > limit)) continue;  // NaN: none was served
    text += fmt::format("{}p99 time to first token of {} is {:.0f} ms, {:.0f} ms was asked for",
                        text.empty() ? "" : "; ", to_string(c.service_class), c.ttft_ms.p99, limit);
  }
  return text;
}

Result<Plan> make_plan(const PlanTask& task, const PlanOptions& options) {
  const PolicyEntry* policy = find_policy(task.search.policy);
  if (policy == nullptr) {
    return Error{Code::NotFound, "no policy is called '" + task.search.policy + "'"};
  }
  return Planner{task, *policy, options}.run();
}

}  // namespace perigee::sim
