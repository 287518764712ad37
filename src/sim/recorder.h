// Recorder: takes every request's outcome and makes the figures of a run out of them.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/event_queue.h"
#include "sim/result.h"
#include "sim/scenario.h"

namespace perigee::sim {

enum class Ending : std::uint8_t { Served, Refused, Failed, Unlawful, Unfinished };

struct Outcome {
  std::uint64_t id = 0;  // in the order of arrival
  Nanos arrived = 0;
  Ending ending = Ending::Unfinished;
  ServiceClass service_class = ServiceClass::Standard;
  std::uint32_t ingress = 0;
  std::uint32_t server = 0;  // when served
  std::uint32_t engine = 0;
  std::uint32_t attempts = 0;
  std::uint32_t tenant = 0;
  std::uint32_t in_tokens = 0;
  std::uint32_t out_tokens = 0;
  std::uint32_t cached_tokens = 0;
  Nanos first = 0;     // at the client; when served
  Nanos finished = 0;  // at the client
  Nanos deadline = 0;  // after its arrival; 0: none
  bool law_broken = false;
};

class Recorder {
 public:
  explicit Recorder(const Scenario& scenario);

  void arrived(Nanos now);
  void ended(const Outcome& outcome);
  // The state now, taken once per timeline step or oftener: requests waiting, and time that
  // engines have computed since the start, all together.
  void sample(Nanos now, double queued, Nanos busy);

  struct SiteTotals {
    Nanos busy = 0;  // of its engines, until arrivals ended
    std::uint32_t engines = 0;
    std::uint64_t preemptions = 0;
  };
  // Fills all but the policy's name and what was measured.
  PolicyResult result(const std::vector<SiteTotals>& sites, std::uint64_t backbone_bytes,
                      double engine_price_per_hour) const;

  Nanos step() const { return step_; }

 private:
  struct Row {  // of a served request
    float ttft_ms;
    float tpot_ms;  // < 0: an answer of one token has none
    float e2e_ms;
    std::uint32_t site;
    std::uint16_t step;
    ServiceClass service_class;
    bool good;
  };
  struct Step {
    TimelineStep counts;
    double queued = 0;
    std::uint32_t samples = 0;
    Nanos busy_end = 0;
  };
  struct Tenant {
    std::uint64_t requests = 0;
    std::uint64_t good = 0;
  };
  struct Ingress {
    std::uint64_t arrived = 0;
    std::uint64_t good = 0;
    std::uint64_t served_by = 0;
    std::uint64_t served_own = 0;
  };
  std::size_t step_of(Nanos at) const;
  void add_timeline(PolicyResult& result, const std::vector<SiteTotals>& sites) const;
  void add_sites(PolicyResult& result, const std::vector<SiteTotals>& sites) const;
  void add_classes(PolicyResult& result) const;

  const Scenario& scenario_;
  Nanos duration_;
  Nanos step_;
  std::vector<Row> rows_;
  std::vector<Step> steps_;
  std::vector<Tenant> tenants_;
  std::vector<Ingress> ingresses_;
  std::vector<FlowResult> flows_;  // open addressing by (from, to); `requests` 0: empty
  std::size_t flow_count_ = 0;
  std::vector<ClassResult> classes_;  // by ServiceClass
  PolicyResult totals_;
  std::uint64_t tokens_ = 0;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t cached_tokens_ = 0;

  void count_flow(std::uint32_t from, std::uint32_t to);
};

}  // namespace perigee::sim
