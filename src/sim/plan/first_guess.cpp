#include "sim/plan/first_guess.h"

#include <algorithm>
#include <cmath>

#include "core/class_targets.h"
#include "sim/network.h"

namespace perigee::sim {
namespace {

constexpr double kPaceShare = 0.75;  // of the TPOT target; prefills of others take the rest
constexpr double kBusyMost = 0.9;    // above, an engine's queue grows in any burst
constexpr double kClassShareLeast = 0.05;
constexpr std::uint32_t kServersMost = 100'000;

// Of the classes that matter, the tightest.
ClassTargets tightest(const Demand& demand) {
  ClassTargets tight = targets_of(ServiceClass::Batch);
  for (std::size_t c = 0; c < demand.shares.size(); ++c) {
    if (demand.shares[c] < kClassShareLeast) continue;
    const ClassTargets targets = targets_of(static_cast<ServiceClass>(c));
    tight.ttft_ms = std::min(tight.ttft_ms, targets.ttft_ms);
    tight.tpot_ms = std::min(tight.tpot_ms, targets.tpot_ms);
  }
  return tight;
}

double prefill_ms(const EngineProfile& profile, double tokens) {
  const double thousands = tokens * 1e-3;
  return profile.prefill_ms_per_1k * thousands +
         profile.prefill_ms_per_1k_squared * thousands * thousands;
}

struct Option {
  std::size_t site = 0;
  std::size_t kind = 0;
  double gain = 0;  // requests per second served, per price
};

class Cover {
 public:
  Cover(const PlanTask& task, const Demand& demand)
      : task_(task),
        left_(demand.rates),
        network_(task.scenario, std::vector<bool>(task.scenario.sites.size(), true), 1),
        ttft_ms_(tightest(demand).ttft_ms) {
    for (const EngineProfile& kind : task.scenario.kinds) {
      capacities_.push_back(capacity_of(kind, demand, task.targets.attainment));
    }
  }

  GpuCounts run() {
    GpuCounts counts = task_.least;
    for (std::size_t s = 0; s < counts.size(); ++s) {
      for (std::size_t k = 0; k < counts[s].size(); ++k) {
        for (std::uint32_t i = 0; i < counts[s][k]; ++i) take(s, k);
      }
    }
    for (;;) {
      const Option best = best_option(counts);
      if (best.gain <= 0) return counts;
      ++counts[best.site][best.kind];
      take(best.site, best.kind);
    }
  }

 private:
  bool reaches(std::size_t from, std::size_t to, std::size_t kind) const {
    const double way =
        network_.rtt_ms(static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to)) +
        task_.scenario.network.access_ms;
    return way + capacities_[kind].first_token_ms <= ttft_ms_;
  }

  double servable(std::size_t site, std::size_t kind) const {
    double sum = 0;
    for (std::size_t from = 0; from < left_.size(); ++from) {
      if (left_[from] > 0 && reaches(from, site, kind)) sum += left_[from];
    }
    return std::min(sum, capacities_[kind].requests_per_s);
  }

  Option best_option(const GpuCounts& counts) const {
    Option best;
    for (std::size_t s = 0; s < counts.size(); ++s) {
      for (std::size_t k = 0; k < counts[s].size(); ++k) {
        if (counts[s][k] >= task_.most[s][k]) continue;
        const double price = std::max(1e-9, task_.scenario.kinds[k].price_per_hour);
        // Where its own users are unserved, a site is a little better than elsewhere.
        const double near = left_[s] > 0 ? 1.001 : 1;
        const double gain = servable(s, k) / price * near;
        if (gain > best.gain * 1.0000001) best = {s, k, gain};
      }
    }
    return best;
  }

  // Serves the nearest unserved demand.
  void take(std::size_t site, std::size_t kind) {
    double capacity = capacities_[kind].requests_per_s;
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t from = 0; from < left_.size(); ++from) {
      if (left_[from] <= 0 || !reaches(from, site, kind)) continue;
      order.emplace_back(
          network_.rtt_ms(static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(site)),
          from);
    }
    std::ranges::sort(order);
    for (const auto& [rtt, from] : order) {
      const double part = std::min(left_[from], capacity);
      left_[from] -= part;
      if (left_[from] < 1e-9) left_[from] = 0;
      capacity -= part;
    }
  }

  const PlanTask& task_;
  std::vector<double> left_;  // unserved requests per second, by site
  Network network_;
  double ttft_ms_;
  std::vector<KindCapacity> capacities_;
};

}  // namespace

double erlang_c(std::uint32_t servers, double load) {
  if (load <= 0) return 0;
  if (load >= servers) return 1;
  double blocked = 1;  // Erlang B, by its recursion
  for (std::uint32_t n = 1; n <= servers; ++n) blocked = load * blocked / (n + load * blocked);
  const double busy = load / servers;
  return blocked / (1 - busy * (1 - blocked));
}

std::uint32_t servers_needed(double load, double service_ms, double budget_ms, double miss,
                             std::uint32_t most) {
  auto servers = static_cast<std::uint32_t>(std::clamp(load, 0.0, most - 1.0)) + 1;
  for (; servers < most; ++servers) {
    const double free = servers - load;
    const double late =
        erlang_c(servers, load) * std::exp(-free * std::max(0.0, budget_ms) / service_ms);
    if (late <= miss && load <= servers * kBusyMost) break;
  }
  return servers;
}

KindCapacity capacity_of(const EngineProfile& profile, const Demand& demand, double attainment) {
  const ClassTargets targets = tightest(demand);
  const double context = demand.in_tokens + demand.out_tokens / 2;
  const auto pace = [&](double batch) { return decode_ms(profile, batch, batch * context); };
  KindCapacity capacity;
  const double chunk = prefill_ms(profile, demand.new_tokens);
  capacity.first_token_ms = profile.overhead_ms + profile.prefill_base_ms + chunk;
  if (pace(1) > targets.tpot_ms || capacity.first_token_ms > targets.ttft_ms) return capacity;
  const double room = static_cast<double>(profile.kv_tokens) / std::max(1.0, context);
  const double per_sequence = pace(2) - pace(1);
  const double in_pace = per_sequence > 0
                             ? 1 + (targets.tpot_ms * kPaceShare - pace(1)) / per_sequence
                             : profile.batch_max;
  capacity.batch = std::max(1.0, std::min({in_pace, room, 1.0 * profile.batch_max}));
  const double decode = demand.out_tokens * pace(capacity.batch) / capacity.batch;
  const double work_s = (chunk + decode) * 1e-3;
  if (work_s <= 0) return capacity;
  double total = 0;
  for (const double rate : demand.rates) total += rate;
  const double load = total * work_s;
  const std::uint32_t servers =
      servers_needed(load, chunk + pace(capacity.batch), targets.ttft_ms - capacity.first_token_ms,
                     1 - attainment + 1e-6, kServersMost);
  const double busy = load > 0 ? std::clamp(load / servers, 0.05, kBusyMost) : kBusyMost;
  capacity.requests_per_s = busy / work_s;
  return capacity;
}

GpuCounts first_guess(const PlanTask& task, const Demand& demand) {
  return Cover{task, demand}.run();
}

}  // namespace perigee::sim
