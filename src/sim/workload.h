// Workload: the requests that come in, in virtual time. Made of sources (a trace; the users of one
// site; one client) that each know when their next request comes. What comes does not depend on the
// policy, but for the later turns of sessions: they come some time after the earlier answer.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "core/inference.h"
#include "sim/event_queue.h"
#include "sim/scenario.h"

namespace perigee::sim {

struct Arrival {
  std::uint32_t ingress = 0;
  std::uint32_t tenant = 0;
  ServiceClass service_class = ServiceClass::Standard;
  std::uint32_t in_tokens = 1;
  std::uint32_t out_tokens = 1;
  std::uint32_t session = 0xffff'ffff;    // of Workload; kNone: a single request
  std::uint64_t session_key = 0;          // 0: none
  const std::uint64_t* blocks = nullptr;  // valid until end_turn() of its session, or for ever
  std::uint32_t prompt_blocks = 0;
  std::uint32_t final_blocks = 0;
  Nanos deadline = 0;  // after its arrival; 0: none
};

class Workload {
 public:
  Workload(const Scenario& scenario, std::uint64_t seed);

  std::size_t sources() const { return sources_.size(); }
  bool has_blocks() const;  // whether any request can share a prefix with another
  // When the source's first, or next, request comes; kNever: no more.
  Nanos next(std::size_t source) const { return sources_[source].next; }
  // The request that comes at next(source); moves it on.
  Arrival take(std::size_t source);
  // After the answer: when the session's next turn comes; kNever: it was the last, or the answer
  // failed. The session's number is free then.
  Nanos end_turn(std::uint32_t session, bool served, Nanos now);
  // The session's next turn, at the time that end_turn() said. `nearest` is where a user who moves
  // goes to from a site.
  Arrival take_turn(std::uint32_t session, const std::vector<std::uint32_t>& nearest);

  static constexpr std::uint32_t kNone = 0xffff'ffff;

 private:
  struct Source {
    explicit Source(std::uint64_t seed) : random(seed) {}
    Random random;
    std::uint32_t spec = 0;
    std::uint32_t site = 0;        // kNone: a trace
    std::uint32_t tenant = kNone;  // of a client; kNone: drawn
    double rate = 0;               // per second, at factor 1
    double shape = 1;              // of the gap's law
    double length_factor = 1;
    std::size_t record = 0;  // of a trace
    Nanos next = kNever;
  };
  struct Session {
    explicit Session(std::uint64_t seed) : random(seed) {}
    Random random;
    std::uint32_t spec = 0;
    std::uint32_t site = 0;
    std::uint32_t tenant = 0;
    ServiceClass service_class = ServiceClass::Standard;
    double length_factor = 1;
    std::uint32_t turns_left = 0;
    std::uint32_t context = 0;  // tokens so far
    std::uint64_t key = 0;
    std::uint32_t shared_blocks = 0;
    std::uint64_t shared_key = 0;
    Nanos ended = 0;  // the last turn
    std::vector<std::uint64_t> blocks;
  };
  struct Lengths {
    std::uint32_t in = 1;
    std::uint32_t out = 1;
  };

  void add_sources(std::uint32_t spec, std::uint64_t seed);
  void schedule(Source& source, Nanos after);
  // The factor on the rate of a site from `at` on, and until when it holds.
  double factor(const WorkloadSpec& spec, std::uint32_t site, Nanos at, Nanos& until) const;
  Arrival take_record(Source& source);
  Arrival start_session(Source& source, Arrival arrival);
  void fill_turn(Session& session, Arrival& arrival);
  Lengths draw_lengths(const WorkloadSpec& spec, double factor, Random& random) const;
  ServiceClass draw_class(const WorkloadSpec& spec, double u) const;
  std::uint32_t draw_tenant(double u) const;

  const Scenario& scenario_;
  Nanos end_;
  std::vector<double> tenant_shares_;             // cumulative
  std::vector<std::vector<double>> site_shares_;  // cumulative, per spec that is a trace
  std::array<double, 24> hour_factors_{};         // by local hour, mean 1
  std::vector<Source> sources_;
  std::vector<Session> sessions_;
  std::vector<std::uint32_t> free_sessions_;
  std::uint64_t session_count_ = 0;
  std::uint64_t seed_;
};

}  // namespace perigee::sim
