// World: one trial as it runs: clients, sites, engines, links and control, and the event loop that
// moves them. Internal to this folder.
//
//   client ──▶ ingress site (flight) ──attempt──▶ serving site ──▶ engine
//
// A client has one request; each time it connects to an ingress a flight begins there; a flight
// makes attempts. A message that arrives over a cut waits for its end, as TCP's do; what belongs to
// a stopped process waits for it; what belongs to a dead one is gone, and its peers learn it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/admission.h"
#include "core/failover.h"
#include "core/router.h"
#include "sim/event_queue.h"
#include "sim/network.h"
#include "sim/trial/broken.h"
#include "sim/trial/record_store.h"
#include "sim/trial/token_engine.h"
#include "sim/trial/trial.h"
#include "sim/workload.h"

namespace perigee::sim {

inline constexpr std::uint32_t kNobody = 0xffff'ffff;

class World {
 public:
  World(const TrialSpec& spec, std::uint64_t seed, const TrialOptions& options);
  TrialResult run();

 private:
  enum Kind : std::uint32_t {
    kArrive,        // a: source of the workload
    kTurn,          // a: session
    kConnect,       // a: client, b: its connection; reaches the ingress
    kToServer,      // a: attempt; reaches the serving site
    kIteration,     // a: engine, b: its version; an iteration is over
    kToken,         // a: attempt, b: position; reaches the ingress
    kEnd,           // a: attempt, b: End; reaches the ingress
    kCancel,        // a: attempt; reaches the serving site
    kFlightTimer,   // a: flight, b: its version
    kClientTimer,   // a: client, b: its version
    kFault,         // a: of the schedule, b: 1 begins, 0 ends
    kExchange,      // a: site and peer; the site begins an exchange of digests
    kDigest,        // a: site and peer, b: number of the exchange; reaches the peer
    kDigestAnswer,  // the same; reaches the site
    kShip,          // a: site
    kShipped        // a: site, b: its incarnation; control's acknowledgement
  };
  using Side = Failover::Side;
  enum End : std::uint32_t { kFinished, kRefused, kFailed, kUnlawful };

  struct Client {
    Arrival arrival;
    bool keyed = false;
    bool finished = false;  // its present answer is complete
    RequestEnd end = RequestEnd::Open;
    std::uint32_t site = 0;        // its ingress
    std::uint32_t connection = 0;  // number of the present one; 0: none
    std::uint32_t connections = 0;
    std::uint32_t tries = 0;
    std::uint32_t received = 0;   // tokens of the present answer
    std::uint32_t delivered = 0;  // the most that any answer brought
    std::uint32_t timer = 0;      // its version
    std::uint32_t silent = 0;     // checks in a row in which its ingress did not answer
    std::uint32_t answered = 0;   // number of the last connection that got an end
    std::uint64_t total = 0;      // tokens that it got, in all answers
    std::uint64_t written = 0;    // tokens that ingresses wrote to it
    Nanos vanishes = kNever;
    Nanos arrived = 0;
    Nanos leaves = kNever;
    Nanos ended = 0;
    bool crashed = false;  // its ingress died before the record was stored: that may know less
  };
  struct Flight {
    std::uint32_t client = 0;
    std::uint32_t connection = 0;
    std::uint32_t site = 0;
    std::uint32_t incarnation = 0;
    bool open = true;
    bool gone = false;  // its client has left, as far as the ingress knows
    RouteRequest route;
    std::optional<Failover> failover;
    std::optional<Error> error;      // the last
    std::uint32_t first = kNobody;   // attempt
    std::uint32_t second = kNobody;  // attempt
    bool waits = false;              // begun, and nobody could take it
    bool deaf = false;               // planted: hears nothing any more
    std::uint32_t resumes = 0;
    std::uint32_t delivered = 0;
    Nanos wake = kNever;      // when to look again
    Nanos armed = 0;          // for when its timer is set
    std::uint32_t timer = 0;  // its version
    std::uint64_t place = 0;  // in the ledger
    std::uint64_t record_id = 0;
  };
  struct Attempt {
    std::uint32_t flight = 0;
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::uint32_t to_incarnation = 0;  // when it was accepted there
    CandidateIndex candidate = 0;
    AttemptTicket ticket = 0;
    std::uint32_t begin = 0;       // position of its first token
    std::uint32_t next = 0;        // position that the client gets next of it
    std::uint32_t arrived = 0;     // one past the last that has come
    bool complete = false;         // its end has come
    bool told = false;             // its server has ended it
    std::optional<Error> failure;  // not yet acted on while some of its tokens are to be shown
    bool hedges = false;
    Nanos started = 0;
    Nanos first = 0;    // its first shown token; 0: none
    Nanos last_up = 0;  // no message arrives before the one before it
    Nanos last_down = 0;
    bool over = false;   // for its ingress
    bool ended = false;  // for its server
    bool at_server = false;
    std::uint32_t engine = kNobody;  // number of the engine at the server, once in one
    std::uint32_t planned_engine = kNobody;
    AdmissionTicket admission = 0;
    AttemptTicket server_ticket = 0;
    Nanos server_started = 0;
    Nanos server_first = 0;
    bool served_by_peer = false;
  };
  struct Peer {
    std::uint32_t site = 0;
    CandidateIndex candidate = 0;
    std::uint32_t sent = 0;      // number of the exchange under way
    std::uint32_t answered = 0;  // of the last one that was
    std::uint32_t failures = 0;
    bool healthy = true;
    EngineLoad load;  // travelling: own, then the peer's
    bool ready = true;
    EngineLoad answer;
    bool answer_ready = true;
  };
  struct Engine {
    explicit Engine(const EngineProfile& profile) : tokens(profile) {}
    TokenEngine tokens;
    bool up = true;
    std::uint32_t version = 0;
    Nanos whole = 0;  // of the iteration under way, when nothing is slow
  };
  struct Answer {                    // for clients who ask again
    std::uint32_t flight = kNobody;  // under way
    bool complete = false;
    std::uint32_t tokens = 0;
    Nanos at = 0;
  };
  struct Site {
    explicit Site(std::uint32_t places) : records(places) {}
    std::uint32_t incarnation = 1;
    std::unique_ptr<Router> router;
    std::vector<CandidateState> candidates;
    std::unique_ptr<AdmissionQueue> admission;  // null: no engines
    std::vector<Engine> engines;
    std::map<AdmissionTicket, std::uint32_t> queued;  // attempts
    std::vector<Peer> peers;
    std::map<std::uint64_t, Answer> answers;  // by key
    std::uint32_t flights = 0;
    RecordStore records;
    std::vector<TrialRecord> shipped;  // waits for its acknowledgement
    Nanos loaded = 0;                  // when it last had much to do
  };

  // world.cpp: building it, the loop, faults
  void add_sites();
  void start_site(std::uint32_t site);
  void dispatch(const Event& event);
  Nanos held_until(const Event& event, Nanos then) const;
  void fault(std::uint32_t index, bool begins);
  void kill_site(std::uint32_t site);
  void kill_engine(std::uint32_t site, std::uint32_t engine);
  bool over() const;
  TrialResult finish();

  // world_clients.cpp
  void arrive(const Arrival& arrival);
  void connect(std::uint32_t client, std::uint32_t site);
  void on_client_timer(std::uint32_t client);
  void client_token(const Flight& flight, std::uint32_t position);
  void client_answered(std::uint32_t client, std::uint32_t connection, RequestEnd end, Code code,
                       std::string_view reason, Nanos retry_after);
  void client_lost(std::uint32_t client, std::uint32_t connection);
  void try_again(std::uint32_t client, Nanos after, bool elsewhere);
  void end_client(std::uint32_t client, RequestEnd end, std::string_view reason);
  void leave(std::uint32_t client);
  void arm_client(std::uint32_t client, Nanos at);

  // world_ingress.cpp
  void on_connect(std::uint32_t client, std::uint32_t connection);
  bool answer_known(std::uint32_t client, std::uint32_t connection);
  void open_flight(std::uint32_t client, std::uint32_t connection);
  void plan(std::uint32_t flight);
  void close_flight(std::uint32_t flight, RequestEnd end, Code code, std::string_view reason,
                    Nanos retry_after);
  void settle(std::uint32_t flight, Outcome outcome);

  // world_failover.cpp
  void advance(std::uint32_t flight);
  void look(std::uint32_t flight, Side side);
  void show(std::uint32_t flight, Side side);
  void drop(std::uint32_t flight, Side side, const Error& error, bool blamed);
  void drop_silent(std::uint32_t flight, Side side);
  void start(std::uint32_t flight, Side side);
  void nobody_takes(std::uint32_t flight, const Error& error);
  void launch(std::uint32_t flight, Side side, const PlannedAttempt& planned,
              std::optional<Duration> hedge_after);
  void arm_flight(std::uint32_t flight);
  void on_flight_timer(std::uint32_t flight);
  void on_token(std::uint32_t attempt, std::uint32_t position);
  void on_end(std::uint32_t attempt, std::uint32_t how);
  void attempt_over(std::uint32_t attempt, AttemptOutcome::Kind kind);
  void tell_router(std::uint32_t site, std::uint32_t to, CandidateIndex candidate,
                   AttemptTicket ticket, const AttemptOutcome& outcome);
  void give_up(std::uint32_t attempt, AttemptOutcome::Kind kind);
  bool too_late(const Flight& flight) const;
  void end_in_error(std::uint32_t flight);

  // world_serving.cpp
  void on_to_server(std::uint32_t attempt);
  void offer(std::uint32_t attempt);
  void refuse(std::uint32_t attempt, const AdmissionRefusal& refusal);
  void release(std::uint32_t site);
  void place(std::uint32_t attempt);
  Result<std::uint32_t> choose_engine(const Attempt& attempt);
  bool waits(const Attempt& attempt) const;
  void step(std::uint32_t site, std::uint32_t engine);
  void time_iteration(std::uint32_t site, std::uint32_t engine);
  void on_iteration(std::uint32_t index, std::uint32_t version);
  void answer(std::uint32_t attempt, Kind kind, std::uint32_t b);
  void end_at_server(std::uint32_t attempt, AttemptOutcome::Kind kind, std::uint32_t tokens);
  void break_off(std::uint32_t attempt, End how);
  void withdraw(std::uint32_t attempt);
  EngineLoad load_of(const Site& site) const;
  bool ready(const Site& site) const;
  Nanos way(std::uint32_t from, std::uint32_t to, double bytes);

  // world_grid.cpp: digests and records
  void exchange(std::uint32_t site, std::uint32_t peer);
  void on_digest(std::uint32_t site, std::uint32_t peer, std::uint32_t number);
  void on_digest_answer(std::uint32_t site, std::uint32_t peer, std::uint32_t number);
  void learn(Site& site, Peer& peer, const EngineLoad& load, bool healthy);
  void look_at_own_engines(std::uint32_t site);
  void ship(std::uint32_t site);
  void on_shipped(std::uint32_t site);

  // checkers.cpp
  void find(Check check, const std::string& what);
  void check_law(std::uint32_t attempt);
  void check_bounds(std::uint32_t site);
  void check_refusal(const Flight& flight, Code code, std::string_view reason);
  void check_end();
  void check_records();
  bool lawful(std::uint32_t tenant, std::uint32_t site) const;

  std::uint32_t index_of(std::uint32_t site, std::uint32_t engine) const {
    return first_engine_[site] + engine;
  }
  Random& chance() { return random_; }
  void hit(Probe probe) { result_.probes.hit(probe); }
  bool planted(Defect defect) const { return options_.defect == defect; }
  Instant at(Nanos t) const { return Instant{Duration{t}}; }
  template <class... Args>
  void log(const char* format, const Args&... args);
  const std::string& name(std::uint32_t site) const { return spec_.scenario.sites[site].name; }

  const TrialSpec& spec_;
  const TrialOptions& options_;
  Random random_;
  Workload workload_;
  std::vector<SiteFault> faults_;
  Broken broken_;
  EventQueue events_;
  Nanos now_ = 0;
  Nanos load_end_;
  TrialResult result_;

  std::vector<Site> sites_;
  std::vector<std::uint32_t> first_engine_;
  std::vector<std::uint32_t> engine_site_;
  std::unique_ptr<Network> network_;
  std::vector<std::uint32_t> nearest_;
  std::vector<JurisdictionId> site_laws_;
  std::vector<std::vector<JurisdictionId>> tenant_laws_;
  std::vector<TenantId> tenants_;
  ModelId model_{"m"};

  std::vector<Client> clients_;
  const FailoverOptions failover_options_{};
  std::vector<Flight> flights_;
  std::vector<Attempt> attempts_;
  std::uint32_t clients_open_ = 0;
  Nanos last_end_ = 0;  // of a client or a flight
  RecordTable control_;
  std::vector<TokenEngine::Made> made_;
  std::uint64_t messages_ = 0;
};

}  // namespace perigee::sim
