#include "sim/plan/planner.h"

#include <algorithm>
#include <cmath>

#include "sim/network.h"
#include "sim/plan/first_guess.h"
#include "sim/simulation.h"

namespace perigee::sim {
namespace {

constexpr std::size_t kAdditionsMax = 16;  // tried per step
constexpr double kClassWeight = 0.1;       // of a p99 that is e times its limit
constexpr double kLossStart = 0.1;         // of the run, when a site is lost

bool empty(const GpuCounts& counts) { return gpu_count(counts) == 0; }

}  // namespace

double shortfall_of(const PolicyResult& result, const PlanTargets& targets) {
  double sum = std::max(0.0, targets.attainment - result.attainment);
  for (const ClassResult& c : result.classes) {
    const double limit = targets.ttft_ms_p99[static_cast<std::size_t>(c.service_class)];
    if (limit > 0 && c.ttft_ms.p99 > limit) sum += kClassWeight * std::log(c.ttft_ms.p99 / limit);
  }
  return sum;
}

Planner::Planner(const PlanTask& task, const PolicyEntry& policy, const PlanOptions& options)
    : task_(task),
      policy_(policy),
      options_(options),
      demand_(demand_of(task.scenario, task.search.short_s, options.seed)),
      short_(excerpt(task.scenario, demand_.busiest_s, task.search.short_s)),
      need_(demand_.rates) {}

PolicyResult Planner::simulated(const Scenario& scenario, std::uint64_t seed) {
  ++runs_;
  RunOptions run;
  run.seed = seed;
  return simulate(scenario, policy_, run);
}

void Planner::tell(std::string_view phase, const GpuCounts& counts) const {
  if (options_.progress) {
    options_.progress(phase, runs_, price_per_hour(task_.scenario, counts));
  }
}

Scenario Planner::without_site(const GpuCounts& counts, std::uint32_t site) const {
  Scenario scenario = with_gpus(task_.scenario, counts);
  FaultRule loss;
  loss.first.kind = FaultKind::Kill;
  loss.first.site = scenario.sites[site].name;
  loss.first.at_s = kLossStart * scenario.duration_s;
  scenario.faults.push_back(std::move(loss));
  return scenario;
}

double Planner::loss_shortfall(const GpuCounts& counts) {
  PlanTargets targets;
  targets.attainment = task_.targets.attainment_after_loss;
  double worst = 0;
  for (std::uint32_t s = 0; s < counts.size(); ++s) {
    if (std::ranges::all_of(counts[s], [](std::uint32_t n) { return n == 0; })) continue;
    const PolicyResult result = simulated(without_site(counts, s), options_.seed);
    worst = std::max(worst, shortfall_of(result, targets));
  }
  return worst;
}

double Planner::whole_shortfall(const GpuCounts& counts) {
  const Scenario scenario = with_gpus(task_.scenario, counts);
  double worst = 0;
  for (std::uint32_t i = 0; i < task_.search.seeds; ++i) {
    worst = std::max(worst, shortfall_of(simulated(scenario, options_.seed + i), task_.targets));
    if (worst > 0) return 1 + worst;  // beyond any shortfall after a loss
  }
  return task_.targets.attainment_after_loss > 0 ? loss_shortfall(counts) : 0;
}

double Planner::shortfall(const GpuCounts& counts, Depth depth) {
  if (empty(counts)) return 10;
  const std::pair<Depth, GpuCounts> key{depth, counts};
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  double value = 0;
  if (depth == Depth::Whole) {
    value = whole_shortfall(counts);
  } else {
    const PolicyResult result = simulated(with_gpus(short_, counts), options_.seed);
    value = shortfall_of(result, task_.targets);
    for (const SiteResult& site : result.sites) {
      need_[site.site] = static_cast<double>(site.arrived - site.good);
    }
  }
  known_.emplace(key, value);
  return value;
}

// Where one more GPU may stand; near the users that were served worst when there are many.
std::vector<Planner::Move> Planner::additions(const GpuCounts& counts) const {
  const Network network{task_.scenario, std::vector<bool>(counts.size(), true), 1};
  std::vector<std::pair<double, Move>> scored;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    double need = 0;
    for (std::size_t from = 0; from < need_.size() && from < counts.size(); ++from) {
      const double rtt =
          network.rtt_ms(static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(s));
      need += need_[from] / (1 + rtt / 10);
    }
    for (std::size_t k = 0; k < counts[s].size(); ++k) {
      if (counts[s][k] < task_.most[s][k]) scored.push_back({need, {s, k}});
    }
  }
  std::ranges::sort(scored, [](const auto& x, const auto& y) {
    if (x.first != y.first) return x.first > y.first;
    return std::pair{x.second.site, x.second.kind} < std::pair{y.second.site, y.second.kind};
  });
  if (scored.size() > kAdditionsMax) scored.resize(kAdditionsMax);
  std::vector<Move> moves;
  for (const auto& [need, move] : scored) moves.push_back(move);
  return moves;
}

// Dearest first, then from the site with the most.
std::vector<Planner::Move> Planner::removals(const GpuCounts& counts) const {
  std::vector<Move> moves;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    for (std::size_t k = 0; k < counts[s].size(); ++k) {
      if (counts[s][k] > task_.least[s][k]) moves.push_back({s, k});
    }
  }
  std::ranges::sort(moves, [&](const Move& x, const Move& y) {
    if (price(x.kind) != price(y.kind)) return price(x.kind) > price(y.kind);
    const std::uint32_t of_x = counts[x.site][x.kind];
    const std::uint32_t of_y = counts[y.site][y.kind];
    if (of_x != of_y) return of_x > of_y;
    return std::pair{x.site, x.kind} < std::pair{y.site, y.kind};
  });
  return moves;
}

// The addition that lessens the shortfall most for its price; false when none is left.
bool Planner::add_best(GpuCounts& counts, Depth depth) {
  const double before = shortfall(counts, depth);
  std::optional<Move> best;
  double best_gain = 0;
  for (const Move& move : additions(counts)) {
    if (best && !budget_left()) break;
    GpuCounts more = counts;
    ++more[move.site][move.kind];
    const double lessened = before - shortfall(more, depth);
    const double gain = lessened / std::max(1e-9, price(move.kind));
    if (!best || gain > best_gain) {
      best = move;
      best_gain = gain;
    }
  }
  if (!best) return false;
  ++counts[best->site][best->kind];
  return true;
}

void Planner::fill(GpuCounts& counts, Depth depth, std::string_view phase) {
  while (shortfall(counts, depth) > 0 && budget_left()) {
    tell(phase, counts);
    if (!add_best(counts, depth)) return;
  }
}

void Planner::trim(GpuCounts& counts, Depth depth, std::string_view phase) {
  for (bool found = true; found && budget_left();) {
    found = false;
    for (const Move& move : removals(counts)) {
      if (!budget_left()) return;
      tell(phase, counts);
      GpuCounts fewer = counts;
      --fewer[move.site][move.kind];
      if (shortfall(fewer, depth) > 0) continue;
      counts = std::move(fewer);
      found = true;
      break;
    }
  }
}

// One more somewhere, then fewer elsewhere: kept when the whole is cheaper.
void Planner::swap(GpuCounts& counts, Depth depth, std::string_view phase) {
  for (bool found = true; found && budget_left();) {
    found = false;
    for (const Move& move : additions(counts)) {
      if (!budget_left()) return;
      GpuCounts other = counts;
      ++other[move.site][move.kind];
      for (bool removed = true; removed && budget_left();) {
        removed = false;
        for (const Move& gone : removals(other)) {
          if (gone.site == move.site && gone.kind == move.kind) continue;
          tell(phase, counts);
          GpuCounts fewer = other;
          --fewer[gone.site][gone.kind];
          if (shortfall(fewer, depth) > 0) continue;
          other = std::move(fewer);
          removed = true;
          break;
        }
      }
      const double now = price_per_hour(task_.scenario, counts);
      if (price_per_hour(task_.scenario, other) >= now - 1e-9) continue;
      counts = std::move(other);
      found = true;
      break;
    }
  }
}

Plan Planner::run() {
  Plan plan;
  plan.guess = first_guess(task_, demand_);
  plan.guess_gpus = gpu_count(plan.guess);
  plan.guess_price_per_hour = price_per_hour(task_.scenario, plan.guess);
  plan.counts = plan.guess;
  fill(plan.counts, Depth::Short, "adding, short runs");
  if (shortfall(plan.counts, Depth::Short) <= 0) {
    trim(plan.counts, Depth::Short, "removing, short runs");
    swap(plan.counts, Depth::Short, "swapping, short runs");
  }
  fill(plan.counts, Depth::Whole, "adding, whole runs");
  if (shortfall(plan.counts, Depth::Whole) <= 0) {
    trim(plan.counts, Depth::Whole, "removing, whole runs");
    swap(plan.counts, Depth::Whole, "swapping, whole runs");
  }
  conclude(plan);
  return plan;
}

void Planner::conclude(Plan& plan) {
  plan.gpus = gpu_count(plan.counts);
  plan.price_per_hour = price_per_hour(task_.scenario, plan.counts);
  if (empty(plan.counts)) {
    plan.shortfall = "no candidate serves any user in time";
    plan.runs = runs_;
    return;
  }
  plan.result = simulated(with_gpus(task_.scenario, plan.counts), options_.seed);
  plan.digest = plan.result.digest;
  plan.meets = shortfall(plan.counts, Depth::Whole) <= 0;
  PlanTargets after = task_.targets;
  if (after.attainment_after_loss > 0) {
    after = PlanTargets{};
    after.attainment = task_.targets.attainment_after_loss;
  }
  for (std::uint32_t s = 0; s < plan.counts.size(); ++s) {
    SiteLoss loss;
    loss.site = s;
    for (const std::uint32_t count : plan.counts[s]) loss.gpus += count;
    if (loss.gpus == 0) continue;
    tell("losing one site after the other", plan.counts);
    loss.result = simulated(without_site(plan.counts, s), options_.seed);
    loss.holds = shortfall_of(loss.result, after) <= 0;
    plan.losses.push_back(std::move(loss));
  }
  if (!plan.meets) {
    plan.shortfall = shortfall_text(plan.result, task_.targets);
    if (plan.shortfall.empty()) plan.shortfall = "another seed, or the loss of a site, misses them";
    if (!budget_left()) plan.shortfall += "; the search ended at search.runs_max";
  }
  plan.runs = runs_;
}

}  // namespace perigee::sim
