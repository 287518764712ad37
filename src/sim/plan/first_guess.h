// The analytic first guess of a plan. A kind's pace bounds its batch (TPOT target, cache room), the
// batch gives the engine time of a mean request; how busy engines may be follows from M/M/c waiting
// (Erlang C) for prefill within what the TTFT target leaves; a site may serve the users that it
// reaches in time. GPUs are then taken by demand served per price until all demand is served.
#pragma once

#include "sim/plan/demand.h"
#include "sim/plan/plan.h"

namespace perigee::sim {

// The chance that a request must wait at `servers` that are offered `load` Erlang; 1 when
// load >= servers.
double erlang_c(std::uint32_t servers, double load);

// The fewest servers at which at most `miss` of the requests wait longer than `budget_ms`, with
// exponential service of mean `service_ms`; at most `most`.
std::uint32_t servers_needed(double load, double service_ms, double budget_ms, double miss,
                             std::uint32_t most);

// What one GPU of a kind is good for.
struct KindCapacity {
  double batch = 0;           // sequences at once that keep the pace
  double requests_per_s = 0;  // within the targets; 0: it can't keep the pace at all
  double first_token_ms = 0;  // of a request that waits for nothing, without network
};
KindCapacity capacity_of(const EngineProfile& profile, const Demand& demand, double attainment);

GpuCounts first_guess(const PlanTask& task, const Demand& demand);

}  // namespace perigee::sim
