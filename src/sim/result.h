// What a run yields: figures per policy, and series that a report can plot. Times are milliseconds
// as the client sees them, its way to its ingress included. A percentile of no requests, or a cost
// per token where none was served, is NaN: printed as "-", null in JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/inference.h"

namespace perigee::sim {

struct Quantiles {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
};

// One column of a time line; all have `PolicyResult::timeline_step_s` seconds.
struct TimelineStep {
  std::uint32_t arrived = 0;   // requests that came in
  std::uint32_t finished = 0;  // served to the end, counted when they ended
  std::uint32_t good = 0;      // of those that came in here, served inside the class targets
  std::uint32_t refused = 0;   // of those that came in here
  std::uint32_t failed = 0;    // of those that came in here
  double utilisation = 0;      // share of engine time busy
  double queued = 0;           // requests waiting at sites and engines, mean of samples
  double ttft_ms_p50 = 0;      // of requests that came in here
  double ttft_ms_p99 = 0;
};

struct SiteResult {
  std::uint32_t site = 0;        // position in `RunResult::sites`
  std::uint64_t arrived = 0;     // requests of its own users
  std::uint64_t good = 0;        // of these
  std::uint64_t served = 0;      // by its engines, wherever they came from
  std::uint64_t served_own = 0;  // of these, of its own users
  double utilisation = 0;        // of its engines; 0 without
  std::uint64_t preemptions = 0;
  double ttft_ms_p50 = 0;  // of its own users
  double ttft_ms_p99 = 0;
};

// Who served whom: requests of `from`'s users that `to` served. Sorted by (from, to); no zeros.
struct FlowResult {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint64_t requests = 0;
};

struct ClassResult {
  ServiceClass service_class = ServiceClass::Standard;
  std::uint64_t requests = 0;
  std::uint64_t good = 0;
  std::uint64_t refused = 0;
  Quantiles ttft_ms;
  Quantiles tpot_ms;
  Quantiles e2e_ms;
};

struct PolicyResult {
  std::string policy;
  std::uint64_t digest = 0;  // over every request's outcome
  std::uint64_t requests = 0;
  std::uint64_t served = 0;      // to the end
  std::uint64_t refused = 0;     // told so (429), after all attempts
  std::uint64_t failed = 0;      // broken off or unreachable, after all attempts
  std::uint64_t unlawful = 0;    // no site under an allowed law: told so; not in `refused`
  std::uint64_t unfinished = 0;  // still under way when the run ended
  std::uint64_t attempts = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t law_broken = 0;  // served under a law that the request excludes: must be zero
  Quantiles ttft_ms;
  Quantiles tpot_ms;
  Quantiles e2e_ms;
  double goodput_rps = 0;  // requests inside the class targets, per second of arrivals
  double attainment = 0;   // share of requests inside the class targets
  double utilisation = 0;  // share of engine time busy, during arrivals
  double prefix_hit = 0;   // share of served prompt tokens found in a prefix cache
  std::uint64_t backbone_bytes = 0;
  double cost_per_mtok = 0;    // under the scenario's prices, per million tokens served
  double fairness = 0;         // Jain's index of the tenants' attainment; 1: all alike
  double decisions_per_s = 0;  // measured: depends on the machine, not in the digest
  double wall_s = 0;           // measured: time that the run took
  double timeline_step_s = 0;
  std::vector<TimelineStep> timeline;
  std::vector<SiteResult> sites;
  std::vector<FlowResult> flows;
  std::vector<ClassResult> classes;  // those that occur
  // Samples for distributions: values at the quantiles 0, 0.005, ... 1 (201 of them).
  std::vector<float> ttft_ms_quantiles;
  std::vector<float> tpot_ms_quantiles;
  std::vector<float> e2e_ms_quantiles;
};

struct SiteInfo {
  std::string name;
  double latitude = 0;
  double longitude = 0;
  std::uint32_t engines = 0;
};

struct FaultInfo {
  std::string what;  // "site metro-berlin"
  double start_s = 0;
  double end_s = 0;
};

struct RunResult {
  std::string scenario;  // its name
  std::string title;     // one line
  std::uint64_t seed = 0;
  std::uint64_t digest = 0;  // over all policies
  double duration_s = 0;     // of arrivals
  std::vector<SiteInfo> sites;
  std::vector<FaultInfo> faults;
  std::vector<PolicyResult> policies;
};

}  // namespace perigee::sim
