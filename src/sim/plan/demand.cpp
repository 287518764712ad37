#include "sim/plan/demand.h"

#include <algorithm>
#include <cmath>

#include "sim/event_queue.h"
#include "sim/workload.h"

namespace perigee::sim {
namespace {

// How long an answer takes, roughly, for when the next turn comes.
constexpr double kPerToken_ms = 20;
constexpr std::uint32_t kTurn = 1;

class Walk {
 public:
  Walk(const Scenario& scenario, double window_s, std::uint64_t seed)
      : scenario_(scenario), window_s_(window_s), workload_(scenario, seed) {
    for (std::uint32_t s = 0; s < scenario.sites.size(); ++s) nearest_.push_back(s);
  }

  Demand run() {
    for (std::uint32_t i = 0; i < workload_.sources(); ++i) push(workload_.next(i), 0, i);
    while (!events_.empty()) {
      const Event event = events_.pop();
      if (event.kind() == kTurn) {
        count(workload_.take_turn(event.a, nearest_), event.at);
      } else {
        const Arrival arrival = workload_.take(event.a);
        push(workload_.next(event.a), 0, event.a);
        count(arrival, event.at);
      }
    }
    return result();
  }

 private:
  struct Window {
    double tokens = 0;
    std::vector<double> requests;
  };

  void push(Nanos at, std::uint32_t kind, std::uint32_t a) {
    if (at != kNever) events_.push(at, kind, a, 0);
  }

  void count(const Arrival& arrival, Nanos now) {
    double fresh = arrival.in_tokens;
    if (arrival.session != Workload::kNone) {
      if (contexts_.size() <= arrival.session) contexts_.resize(arrival.session + 1, 0);
      double& context = contexts_[arrival.session];
      fresh = std::max(1.0, fresh - context);
      context = arrival.in_tokens + arrival.out_tokens;
      const Nanos ends = now + nanos_from_ms(arrival.out_tokens * kPerToken_ms);
      const Nanos next = workload_.end_turn(arrival.session, true, ends);
      if (next == kNever) context = 0;
      push(next, kTurn, arrival.session);
    }
    const auto index = static_cast<std::size_t>(static_cast<double>(now) * 1e-9 / window_s_);
    if (windows_.size() <= index) windows_.resize(index + 1);
    Window& window = windows_[index];
    if (window.requests.empty()) window.requests.resize(scenario_.sites.size(), 0);
    window.tokens += fresh + 10.0 * arrival.out_tokens;
    window.requests[arrival.ingress] += 1;
    requests_ += 1;
    demand_.new_tokens += fresh;
    demand_.in_tokens += arrival.in_tokens;
    demand_.out_tokens += arrival.out_tokens;
    demand_.shares[static_cast<std::size_t>(arrival.service_class)] += 1;
  }

  Demand result() {
    demand_.window_s = window_s_;
    demand_.rates.resize(scenario_.sites.size(), 0);
    if (requests_ == 0) return demand_;
    for (double* sum : {&demand_.new_tokens, &demand_.in_tokens, &demand_.out_tokens}) {
      *sum /= requests_;
    }
    for (double& share : demand_.shares) share /= requests_;
    const auto busiest = std::ranges::max_element(windows_, {}, &Window::tokens);
    demand_.busiest_s = static_cast<double>(busiest - windows_.begin()) * window_s_;
    for (std::size_t s = 0; s < demand_.rates.size(); ++s) {
      demand_.rates[s] = busiest->requests[s] / window_s_;
    }
    return demand_;
  }

  const Scenario& scenario_;
  double window_s_;
  Workload workload_;
  EventQueue events_;
  std::vector<std::uint32_t> nearest_;  // who moves stays, here
  std::vector<double> contexts_;        // by session
  std::vector<Window> windows_;
  double requests_ = 0;
  Demand demand_;
};

void move_workload(WorkloadSpec& spec, double start_s, double length_s) {
  spec.start_hour_utc = std::fmod(spec.start_hour_utc + start_s / 3600, 24);
  for (BurstSpec& burst : spec.bursts) {
    burst.start_s -= start_s;
    burst.end_s -= start_s;
  }
  std::erase_if(spec.bursts, [](const BurstSpec& burst) { return burst.end_s <= 0; });
  const double began = spec.start_s - start_s;
  spec.start_s = std::max(0.0, began);
  if (spec.end_s > 0) spec.end_s = std::max(1e-3, spec.end_s - start_s);
  if (spec.arrivals != WorkloadSpec::Arrivals::Trace) return;
  auto moved = std::make_shared<Trace>();
  moved->blocks = spec.trace->blocks;
  const double skipped_ms = std::max(0.0, -began) * 1e3 * spec.speedup;
  for (TraceRecord record : spec.trace->records) {
    const double at = static_cast<double>(record.t_ms) - skipped_ms;
    if (at < 0 || at > length_s * 1e3 * spec.speedup) continue;
    record.t_ms = static_cast<std::int64_t>(at);
    moved->records.push_back(record);
  }
  if (moved->records.empty()) moved->records.push_back(spec.trace->records.back());
  spec.trace = std::move(moved);
}

}  // namespace

Demand demand_of(const Scenario& scenario, double window_s, std::uint64_t seed) {
  return Walk{scenario, std::min(window_s, scenario.duration_s), seed}.run();
}

Scenario excerpt(const Scenario& scenario, double start_s, double length_s) {
  Scenario part = scenario;
  part.duration_s = std::min(length_s, scenario.duration_s);
  start_s = std::clamp(start_s, 0.0, scenario.duration_s - part.duration_s);
  if (start_s <= 0) return part;
  for (WorkloadSpec& spec : part.workloads) move_workload(spec, start_s, part.duration_s);
  part.faults.clear();
  for (Fault& fault : fault_timeline(scenario.faults, 0)) {
    fault.at_s = std::max(0.0, fault.at_s - start_s);
    fault.end_s -= start_s;
    if (fault.end_s > fault.at_s) part.faults.push_back({.first = std::move(fault), .sites = {}});
  }
  return part;
}

}  // namespace perigee::sim
