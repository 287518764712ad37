// Attempts: the attempts of one request, from the first to the one that ends it. What is tried, and
// when, is core/failover's to say; this starts the jobs, looks at what they yield, and keeps what a
// resume needs.
//
// What counts as delivered: bytes become the client's when take() hands them out, and at the same
// moment their tokens are noted, or their text where their engine tells no tokens. What an engine
// has sent and nobody has taken is dropped with its attempt, and made anew by the next one. So no
// token is lost and none is repeated: a write that fails later ends the request, and nothing is
// resumed then.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "core/failover.h"
#include "core/router.h"
#include "engine/engine.h"
#include "gateway/attempt_report.h"
#include "gateway/engine_table.h"
#include "gateway/event_stream.h"
#include "gateway/inference_observer.h"

namespace perigee {

// Lives as long as its request and is kept small: thousands of streams wait.
class Attempts {
 public:
  // The same for all requests; it and all in it must outlive them.
  struct Parts {
    const Clock& clock;
    Router& router;
    EngineTable& engines;
    InferenceObserver& observer;
  };
  // Who serves the answer from now on.
  struct Server {
    std::string site;
    std::string_view reason;  // static
    std::optional<EngineLoad> load;
  };
  enum class State : std::uint8_t {
    Waiting,   // look again when `events` were notified, or at wake_at()
    Bytes,     // take() them
    Finished,  // see finished()
    Failed,    // see error(); nothing more will be tried
  };

  // Starts the first attempt of `plan`, which is that of `route`, or why there is none now.
  // `before`: what the client had before this site was asked (a peer's resume). `options` and
  // `events` must outlive it.
  Attempts(const Parts& parts, RequestEvents& events, const FailoverOptions& options, Job job,
           RouteRequest route, Result<RoutePlan> plan, Delivered before, bool relay_field);
  ~Attempts();

  // Starts, drops and looks; never waits.
  State advance();
  Instant wake_at() const { return wake_at_; }
  // After Bytes: framed SSE events; adds the tokens in them. Then written(), once they are. Empty:
  // the attempt was ended meanwhile, see advance().
  std::string take(std::uint32_t& tokens);
  void written();
  // Once per server, when what it yields is first handed out; null else.
  std::unique_ptr<const Server> take_server() { return std::move(server_); }
  // After Finished: the end, which the router has learned from.
  Finished& finished();
  Error& error() { return *error_; }
  Refused refused() const { return refused_; }  // why, when that error is a refusal for load

  // An engine or a peer is ready that was not: what waits for somebody asks at once.
  void look_again();

  // Somebody can't be reached who could: if it is who makes this whole answer, another is asked
  // beside it (Failover::unreachable). A second one that can't be reached either makes room.
  void look_for_unreachable();

  // Ends the request with this error, whatever its attempts are at.
  void end(Error error);

  // Ends the attempts at these sites, as if the connection had failed: the answer goes on
  // elsewhere, if it can.
  void leave_sites(const std::function<bool(const SiteId&)>& which);

  // Ends the attempts at engines of this site, as if refused for load: the answer goes on
  // elsewhere, and that of a peer ends with an error (429) that lets its ingress go on. For a site
  // that is being drained: its engines must be known as drained before.
  void leave_local();

 private:
  using Side = Failover::Side;
  struct Attempt;
  std::optional<State> look(Side side);
  State give_up(Instant now);
  bool to_blame(const Attempt& attempt) const;
  void start_beside(Instant now);
  void start(Side side, Instant now);
  void none(Error error, Instant now);
  void launch(Side side, const PlannedAttempt& planned, std::optional<Duration> hedge_after,
              Instant now);
  void show(Side side);
  void tell_server();
  void drop(Side side, Error error, bool blamed);
  void drop_silent(Side side);
  bool too_late(Instant now) const;
  std::optional<bool> healthy(CandidateIndex candidate) const;
  std::optional<bool> reached(const Attempt& attempt) const;
  void learn_load(CandidateIndex candidate, const EngineLoad& load);

  const Parts& parts_;
  RequestEvents& events_;
  Failover failover_;
  Job job_;
  RouteRequest route_;
  Delivered delivered_;
  std::unique_ptr<Attempt> first_;
  std::unique_ptr<Attempt> second_;
  std::unique_ptr<const Server> server_;
  std::unique_ptr<Error> error_;  // the last one
  Instant wake_at_ = Instant::max();
  Instant shown_;
  Refused refused_ = Refused::No;
  bool relay_field_;
  bool resume_ = false;  // the engine was asked to pause
  bool ended_ = false;   // by end()
};

}  // namespace perigee
