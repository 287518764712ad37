#include "gateway/attempts.h"

#include <utility>

#include "base/log.h"

namespace perigee {

// One try at one engine. Destroying it cancels the job, then reports how it went.
struct Attempts::Attempt {
  Attempt(const Parts& parts, RequestEvents& events, CandidateIndex index,
          const RouteRequest& route, bool streams, bool relay_field)
      : stream(events, relay_field),
        report(parts.router, parts.clock, index, route, streams),
        candidate(index),
        began(parts.clock.now()) {
    const CandidateState* state = parts.router.candidate(index);
    if (state != nullptr) site = state->id.site;
  }

  EventStream stream;
  AttemptReport report;
  CandidateIndex candidate;
  SiteId site;  // the router may forget it meanwhile
  std::string_view reason;
  Instant began;
  bool resumes = false;  // goes on after what another has made
  bool hedges = false;
  bool shown = false;
  std::unique_ptr<Generation> generation;

  // In a queue of this site: its engine has not been asked yet, and is not to be blamed.
  bool waits() const { return generation != nullptr && generation->waits(); }
};

namespace {

AttemptForecast forecast_of(const Prediction& prediction) {
  return {.ttft_ms = prediction.ttft_ms,
          .uncertainty_ms = prediction.uncertainty_ms,
          .tpot_ms = prediction.tpot_ms,
          .queue_ms = prediction.wait_ms + prediction.slot_ms};
}

Error too_slow() { return Error{Code::DeadlineExceeded, "the engine did not answer in time"}; }
Error queued_too_long() {
  return Error{Code::ResourceExhausted, "Its turn did not come in time; repeat the request later.",
               "", 1000};
}

}  // namespace

Attempts::Attempts(const Parts& parts, RequestEvents& events, const FailoverOptions& options,
                   Job job, RouteRequest route, Result<RoutePlan> plan, Delivered before,
                   bool relay_field)
    : parts_(parts),
      events_(events),
      failover_(
          options,
          {.service_class = route.service_class, .deadline = route.deadline, .streams = job.stream},
          parts.clock.now()),
      job_(std::move(job)),
      route_(std::move(route)),
      delivered_(std::move(before)),
      shown_(parts.clock.now()),
      relay_field_(relay_field) {
  if (plan) {
    launch(Side::First, plan->attempts.front(), plan->hedge_after, shown_);
  } else {
    none(std::move(plan).error(), shown_);
  }
}

Attempts::~Attempts() = default;

Attempts::State Attempts::advance() {
  for (;;) {
    if (const std::optional<State> state = look(Side::First)) return *state;
    if (const std::optional<State> state = look(Side::Second)) return *state;
    const Instant now = parts_.clock.now();
    const Failover::Decision next = failover_.decide(now);
    switch (next.action) {
      case Failover::Action::Wait: wake_at_ = next.until; return State::Waiting;
      case Failover::Action::Start: start(Side::First, now); break;
      case Failover::Action::StartBeside: start_beside(now); break;
      case Failover::Action::DropFirst: drop_silent(Side::First); break;
      case Failover::Action::DropSecond: drop_silent(Side::Second); break;
      case Failover::Action::GiveUp: return give_up(now);
    }
  }
}

Attempts::State Attempts::give_up(Instant now) {
  second_.reset();
  first_.reset();
  const bool late = route_.deadline && now >= *route_.deadline;
  if (error_ == nullptr || (late && !ended_)) {
    error_ = std::make_unique<Error>(Error{Code::DeadlineExceeded, "the deadline is past"});
  }
  return State::Failed;
}

// What one attempt has yielded; null: nothing that ends the wait.
std::optional<Attempts::State> Attempts::look(Side side) {
  for (;;) {
    Attempt* attempt = (side == Side::First ? first_ : second_).get();
    if (attempt == nullptr) return std::nullopt;
    EventStream& stream = attempt->stream;
    // Before anything was shown, what a failed attempt has sent is not needed: the next begins
    // anew.
    if (stream.error() != nullptr && (!failover_.begun() || !stream.has_bytes())) {
      drop(side, std::move(*stream.error()), !too_late(parts_.clock.now()));
      continue;
    }
    if (side == Side::First && failover_.holds_first()) return std::nullopt;
    if (!stream.has_bytes() && stream.finished() == nullptr) return std::nullopt;
    show(side);
    return first_->stream.has_bytes() ? State::Bytes : State::Finished;
  }
}

// The client gets what this attempt yields: it is the first one from now on, and the only one.
void Attempts::show(Side side) {
  const Instant now = parts_.clock.now();
  const bool begun = failover_.begun();
  if (second_ != nullptr && second_->hedges) {
    parts_.observer.on_hedged(job_.model, side == Side::Second);
  }
  const bool blamed = failover_.showed(side, now);
  if (side == Side::Second) {
    if (blamed) {
      if (to_blame(*first_)) first_->report.failed(too_slow());
      error_ = std::make_unique<Error>(too_slow());
    }
    first_ = std::move(second_);
  }
  second_.reset();
  if (!first_->shown) {
    first_->shown = true;
    if (job_.stream) first_->report.first_token();  // else it is the last one, too
    if (begun) {
      const Code why = error_ != nullptr ? error_->code : Code::Unavailable;
      parts_.observer.on_resumed(job_.model, why, now - shown_);
    }
    tell_server();
    if (begun) {
      log::info("a stream goes on at another engine", {{"request_id", job_.context.request_id},
                                                       {"site", server_->site},
                                                       {"gap_ms", to_ms(now - shown_)},
                                                       {"before_ms", to_ms(first_->began - shown_)},
                                                       {"attempts", failover_.attempts()}});
    }
  }
  shown_ = now;
}

void Attempts::tell_server() {
  auto server = std::make_unique<Server>();
  server->site = first_->site.str();
  server->reason = first_->reason;
  if (const auto head = first_->stream.take_head(); head != nullptr) {
    if (!head->site.empty()) server->site = head->site.str();
    server->load = head->load;
    if (head->load) learn_load(first_->candidate, *head->load);
  }
  server_ = std::move(server);
}

// An attempt is over without a good end.
void Attempts::drop(Side side, Error error, bool blamed) {
  Attempt& attempt = *(side == Side::First ? first_ : second_);
  // A refusal says how busy it is there, and why.
  const auto head = attempt.stream.take_head();
  if (head != nullptr && head->load) learn_load(attempt.candidate, *head->load);
  const Refused refused = head != nullptr ? head->refused : Refused::No;
  if (blamed) attempt.report.failed(error, refused);
  const Instant now = parts_.clock.now();
  if (refused == Refused::Draining && side == Side::First) failover_.displaced(now);
  failover_.failed(side, refused == Refused::No ? error.code : Code::ResourceExhausted, now);
  if (too_late(now)) failover_.give_up();
  if (side == Side::Second) {
    second_.reset();
    return;
  }
  // That somebody can't go on with a stream says less than why it had to.
  if (error_ == nullptr || error.code != Code::FailedPrecondition) {
    error_ = std::make_unique<Error>(std::move(error));
  }
  refused_ = refused;
  first_ = std::move(second_);
}

// Nothing has come for so long that nothing is expected any more.
void Attempts::drop_silent(Side side) {
  const bool waits = (side == Side::First ? first_ : second_)->waits();
  drop(side, waits ? queued_too_long() : too_slow(), true);
  if (waits && side == Side::First) refused_ = Refused::TooLate;
}

// It was silent for too long. A whole answer always is: what counts is that it can't be reached.
bool Attempts::to_blame(const Attempt& attempt) const {
  if (attempt.waits()) return false;
  return job_.stream || !healthy(attempt.candidate).value_or(true);
}

void Attempts::start_beside(Instant now) {
  if (!job_.stream && reached(*first_).value_or(false)) return failover_.reachable();
  start(Side::Second, now);
}

void Attempts::start(Side side, Instant now) {
  route_.tried = failover_.tried();
  // A whole answer that is lost at another engine of a queue than it was planned for: that one may
  // take it.
  const bool beside = side == Side::Second && !job_.stream;
  if (beside && healthy(first_->candidate).value_or(false)) route_.tried.pop_back();
  auto plan = parts_.router.plan(route_, now);
  if (!plan) {
    none(std::move(plan).error(), now);
    return;
  }
  if (!failover_.begun() && !(side == Side::Second && failover_.hedges())) {
    parts_.observer.on_retry(job_.model, error_ ? error_->code : Code::DeadlineExceeded);
  }
  launch(side, plan->attempts.front(), std::nullopt, now);
}

// Nobody can take it now.
void Attempts::none(Error error, Instant now) {
  failover_.no_candidate(milliseconds{error.retry_after_ms}, now);
  if (error_ == nullptr) error_ = std::make_unique<Error>(std::move(error));
}

// Starts the job at one candidate.
void Attempts::launch(Side side, const PlannedAttempt& planned, std::optional<Duration> hedge_after,
                      Instant now) {
  std::unique_ptr<Attempt>& attempt = side == Side::First ? first_ : second_;
  attempt = std::make_unique<Attempt>(parts_, events_, planned.candidate, route_, job_.stream,
                                      relay_field_);
  attempt->reason = planned.reason;
  attempt->resumes = failover_.begun() || !delivered_.empty();
  attempt->hedges = side == Side::Second && failover_.hedges() && !failover_.begun();
  failover_.started(side, planned.candidate, forecast_of(planned.prediction), hedge_after, now);
  Engine* engine = parts_.engines.find(planned.candidate);
  if (engine == nullptr) {
    attempt->stream.on_error(Error{Code::Unavailable, "The engine has gone; repeat the request."});
    return;
  }
  // What a peer told of it stands in the body, too; whoever adds to it needs all of it.
  if (attempt->resumes) job_.delivered = std::make_shared<const Delivered>(delivered_);
  attempt->generation = engine->start(job_, attempt->stream);
  job_.delivered.reset();
}

std::string Attempts::take(std::uint32_t& tokens) {
  if (first_ == nullptr || !first_->stream.has_bytes()) return {};  // it went away meanwhile
  const bool paused = first_->stream.paused();
  std::string bytes = first_->stream.take_bytes(tokens, delivered_);
  resume_ = paused;
  // An answer that is bound to a form, or may call a tool, is more than its text; so are several.
  const bool more = (route_.needs & (kGuidedOutput | kTools)) != 0 || route_.choices > 1;
  if (delivered_.text() != nullptr && more) delivered_.lose_track();
  if (!delivered_.complete()) failover_.lost_track();
  return bytes;
}

void Attempts::written() {
  if (first_ == nullptr) return;                      // it went away meanwhile
  failover_.showed(Side::First, parts_.clock.now());  // a slow client is no slow engine
  if (std::exchange(resume_, false) && first_->generation != nullptr) first_->generation->resume();
}

Finished& Attempts::finished() {
  Finished& end = *first_->stream.finished();
  if (end.load) learn_load(first_->candidate, *end.load);
  // The usage of an answer that began elsewhere is not what this attempt did.
  first_->report.served(first_->resumes ? Usage{} : end.usage);
  return end;
}

void Attempts::look_again() {
  if (failover_.look_again(parts_.clock.now())) events_.notify();
}

void Attempts::look_for_unreachable() {
  if (job_.stream || first_ == nullptr) return;
  const bool first = !reached(*first_).value_or(true);
  const bool second = second_ != nullptr && !reached(*second_).value_or(true);
  if (first) failover_.unreachable(parts_.clock.now());
  if (second) {
    drop(Side::Second, Error{Code::Unavailable, "the engine can't be reached any more"}, false);
  }
  if (first || second) events_.notify();
}

// None: nothing is known of it any more, which says nothing against what it makes.
std::optional<bool> Attempts::healthy(CandidateIndex candidate) const {
  const CandidateState* state = parts_.router.candidate(candidate);
  return state != nullptr ? std::optional{state->healthy} : std::nullopt;
}

// Whether who makes it can be reached, which in a queue may be another than was planned.
std::optional<bool> Attempts::reached(const Attempt& attempt) const {
  const auto lost = attempt.generation != nullptr ? attempt.generation->lost() : std::nullopt;
  return lost ? std::optional{!*lost} : healthy(attempt.candidate);
}

void Attempts::end(Error error) {
  ended_ = true;
  failover_.give_up();
  second_.reset();
  first_.reset();
  error_ = std::make_unique<Error>(std::move(error));
  refused_ = Refused::No;
  events_.notify();
}

void Attempts::leave_sites(const std::function<bool(const SiteId&)>& which) {
  bool left = false;
  for (const Side side : {Side::Second, Side::First}) {
    const Attempt* attempt = (side == Side::First ? first_ : second_).get();
    if (attempt == nullptr || !which(attempt->site)) continue;
    drop(side, Error{Code::Unavailable, "the site that answered is in the grid no more"}, true);
    left = true;
  }
  if (left) events_.notify();
}

void Attempts::leave_local() {
  for (const Side side : {Side::Second, Side::First}) {
    const Attempt* attempt = (side == Side::First ? first_ : second_).get();
    if (attempt == nullptr) continue;
    const CandidateState* state = parts_.router.candidate(attempt->candidate);
    if (state == nullptr || !state->local) continue;
    if (side == Side::First) failover_.displaced(parts_.clock.now());
    drop(side, Error{Code::ResourceExhausted, "this site is being drained: go on elsewhere"}, true);
    if (!route_.local_only) continue;
    refused_ = Refused::Draining;
    failover_.give_up();
  }
  events_.notify();
}

// The client's deadline has come: that says nothing about an engine, and no other can do better.
// The slack is for an upstream whose clock ran out a moment before ours.
bool Attempts::too_late(Instant now) const {
  constexpr Duration kSlack = milliseconds{50};
  return route_.deadline && now + kSlack >= *route_.deadline;
}

// News of a candidate's load that came with its answer: fresher than its last digest.
void Attempts::learn_load(CandidateIndex candidate, const EngineLoad& load) {
  const CandidateState* known = parts_.router.candidate(candidate);
  if (known == nullptr) return;
  parts_.router.report(candidate, load, parts_.clock.now() - known->rtt / 2);
}

}  // namespace perigee
