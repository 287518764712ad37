// Simulator: one run of one policy: the event loop and everything that lives in it. A request's way
// reads from top to bottom: arrive, decide, try, deliver, first token, end.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "sim/event_queue.h"
#include "sim/fault_schedule.h"
#include "sim/ingress.h"
#include "sim/network.h"
#include "sim/policy.h"
#include "sim/recorder.h"
#include "sim/serving_site.h"
#include "sim/simulation.h"
#include "sim/workload.h"

namespace perigee::sim {

class Simulator {
 public:
  Simulator(const Scenario& scenario, const PolicyEntry& policy, const RunOptions& options);
  PolicyResult run();

 private:
  enum Kind : std::uint32_t {
    kArrive,      // a: source of the workload
    kTurn,        // a: session
    kDeliver,     // a: request, b: attempt; reaches the serving site
    kBoundary,    // a: engine, b: its version
    kFirstToken,  // a: request, b: attempt; reaches the ingress
    kFinished,    // the same, the last token
    kRefused,     // the same, a refusal
    kBroken,      // the same, notice of a failure
    kFault,       // a: fault, b: 1 starts, 0 ends
    kSample
  };

  struct Request {
    Outcome outcome;
    Arrival arrival;
    Choice choice;
    std::uint32_t tried = 0;    // of choice
    std::uint32_t attempt = 0;  // number of the one under way; 0: none
    std::uint32_t candidate = 0;
    std::uint32_t decider = 0;  // site of its ingress (of a fallen site: the next)
    std::uint32_t server = 0;
    std::uint32_t engine = kNone;  // once it is in one
    Ingress::Ticket ticket;
    Ingress::Ticket server_ticket;  // of the server's own policy, when that is another site
    std::uint32_t local = kNone;    // candidate there; kNone: none has started
    AdmissionTicket admission = 0;
    Nanos started = 0;  // the attempt
    Nanos server_started = 0;
    Nanos server_first = 0;
    Nanos detour = 0;     // the user's way to another ingress, one way
    Nanos first_due = 0;  // when its first token reaches the ingress
    bool got_first = false;
    EngineLoad load;  // with the answer
    Nanos load_at = 0;
  };
  struct Engine {
    std::uint32_t site = 0;
    std::uint32_t number = 0;
    std::uint32_t version = 0;
    Nanos scheduled = kNever;
  };
  struct Health {  // of a site
    bool down = false;
    Nanos silent_since = kNever;  // its digests neither go out nor come in
  };
  struct Cut {
    std::uint32_t a = 0;
    std::uint32_t b = 0;  // kNone: all others
    Nanos since = 0;
  };

  // simulator.cpp
  void add_sites();
  void add_ingresses();
  std::vector<CandidateFacts> facts_of(std::uint32_t site) const;
  CandidateFacts peer_facts(std::uint32_t from, const Network::Neighbour& neighbour) const;
  CandidateFacts engine_facts(std::uint32_t site, std::uint32_t number) const;
  void dispatch(const Event& event);
  void sample();
  bool done() const;
  PolicyResult finish();

  // simulator_ingress.cpp
  void arrive(const Arrival& arrival);
  void decide(std::uint32_t request);
  void listen(Ingress& ingress, std::uint32_t site);
  void hear_newest(Ingress& ingress, std::uint32_t candidate, Nanos until);
  Nanos unheard_since(std::uint32_t site, std::uint32_t other) const;
  void see_truth(Ingress& ingress, std::uint32_t site, std::span<CandidateView> views,
                 const Request& r);
  RequestView view_of(const Request& r, bool local_only) const;
  void try_next(std::uint32_t request);
  void send(std::uint32_t request);
  void on_first_token(std::uint32_t request);
  void on_finished(std::uint32_t request);
  void on_unserved(std::uint32_t request, AttemptOutcome::Kind kind);
  void close(std::uint32_t request, Ending ending);

  // simulator_serving.cpp
  void deliver(std::uint32_t request);
  void offer(std::uint32_t request);
  void place(std::uint32_t request);
  // Number of an engine of the server; kNone: refused.
  std::uint32_t choose_engine(const Request& r, bool& pooled);
  void release(std::uint32_t site);
  void pump(std::uint32_t site);
  void submit(std::uint32_t request, std::uint32_t engine);
  void boundary(std::uint32_t engine);
  void reschedule(std::uint32_t engine);
  void answer(std::uint32_t request, Kind kind);
  void refuse(std::uint32_t request);
  void end_at_server(Request& r, AttemptOutcome::Kind kind);
  void break_off(std::uint32_t request, Nanos after);
  void cancel(std::uint32_t request);
  // simulator_faults.cpp
  Nanos cut_since(std::uint32_t a, std::uint32_t b) const;
  bool reachable(std::uint32_t a, std::uint32_t b) const {
    return !health_[b].down && (a == b || cut_since(a, b) == kNever);
  }
  void start_fault(const SiteFault& fault);
  void end_fault(const SiteFault& fault);
  void take_down(std::uint32_t site);
  void take_down_engine(std::uint32_t site, std::uint32_t number, Nanos notice);
  void cut_streams(const Cut& cut);

  std::uint32_t engine_index(std::uint32_t site, std::uint32_t number) const {
    return first_engine_[site] + number;
  }
  std::uint32_t new_request();

  const Scenario& scenario_;
  const PolicyEntry& policy_;
  const RunOptions& options_;
  Workload workload_;
  Recorder recorder_;
  EventQueue events_;
  Nanos now_ = 0;
  Nanos duration_;
  std::vector<ServingSite> sites_;
  std::vector<Engine> engines_;
  std::vector<std::uint32_t> first_engine_;  // of each site
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<Ingress>> ingresses_;
  std::shared_ptr<SharedState> shared_;
  std::vector<std::uint32_t> nearest_;  // another site to each, for users who move
  std::vector<SiteFault> faults_;
  std::vector<Health> health_;
  std::vector<Cut> cuts_;
  std::uint32_t faults_active_ = 0;
  std::vector<std::uint32_t> site_law_;
  std::vector<std::vector<std::uint32_t>> tenant_laws_;
  std::vector<TenantId> tenant_ids_;
  std::uint32_t laws_ = 0;

  std::vector<Request> requests_;
  std::vector<std::uint32_t> free_requests_;
  std::uint64_t arrived_ = 0;
  std::uint64_t under_way_ = 0;
  std::uint32_t attempts_ = 0;
  std::uint64_t backbone_bytes_ = 0;
  std::vector<EngineNotice> notices_;
  std::vector<std::uint32_t> ended_;
  Choice local_choice_;
  std::vector<Nanos> busy_at_end_;  // of each site, when arrivals ended
  std::uint64_t decisions_ = 0;
  Duration deciding_{};
  Nanos next_progress_ = 0;
};

}  // namespace perigee::sim
