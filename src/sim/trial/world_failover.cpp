// What an ingress does about the attempts of a request, driven by core/failover.h as in the daemon
// (gateway/attempts.cpp): tokens come, are kept or shown, attempts fail, overtake each other, go
// on.
#include <algorithm>
#include <utility>

#include "sim/sampler.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kBusyRetry = 500'000'000;
// The clock of an engine may run out a moment before that of the ingress.
constexpr Duration kDeadlineSlack = milliseconds{50};

Error too_slow() { return Error{Code::DeadlineExceeded, "nothing came"}; }
Error queued_too_long() { return Error{Code::ResourceExhausted, "its turn did not come"}; }

// What the router learns of an attempt that failed.
AttemptOutcome::Kind outcome_of(Code code) {
  switch (code) {
    case Code::ResourceExhausted: return AttemptOutcome::Kind::Refused;
    case Code::Unavailable:
    case Code::Protocol:
    case Code::DeadlineExceeded:
    case Code::Internal: return AttemptOutcome::Kind::Failed;
    default: return AttemptOutcome::Kind::Abandoned;
  }
}

}  // namespace

void World::advance(std::uint32_t number) {
  while (flights_[number].open && !flights_[number].deaf) {
    if (flights_[number].gone) {
      return close_flight(number, RequestEnd::Left, Code::Cancelled, "the client left", 0);
    }
    look(number, Side::First);
    look(number, Side::Second);
    Flight& flight = flights_[number];
    if (!flight.open) return;
    const Failover::Decision next = flight.failover->decide(at(now_));
    switch (next.action) {
      case Failover::Action::Wait:
        flight.wake = next.until.time_since_epoch().count();
        return arm_flight(number);
      case Failover::Action::Start: start(number, Side::First); break;
      case Failover::Action::StartBeside: start(number, Side::Second); break;
      case Failover::Action::DropFirst: drop_silent(number, Side::First); break;
      case Failover::Action::DropSecond: drop_silent(number, Side::Second); break;
      case Failover::Action::GiveUp: return end_in_error(number);
    }
  }
}

// Takes what one attempt has yielded, if it is to be shown, and drops what has failed.
void World::look(std::uint32_t number, Side side) {
  for (;;) {
    const Flight& flight = flights_[number];
    const std::uint32_t id = side == Side::First ? flight.first : flight.second;
    if (!flight.open || id == kNobody) return;
    const Attempt& a = attempts_[id];
    const bool yields = a.next < a.arrived;
    if (a.failure && (!flight.failover->begun() || !yields)) {
      drop(number, side, *a.failure, !too_late(flight));
      continue;
    }
    if (side == Side::First && flight.failover->holds_first()) return;
    if (yields || a.complete) show(number, side);
    return;
  }
}

// The client gets what this attempt has yielded: it is the first one from now on, and the only one.
void World::show(std::uint32_t number, Side side) {
  Flight& flight = flights_[number];
  const bool blamed = flight.failover->showed(side, at(now_));
  std::uint32_t loser = flight.second;
  if (side == Side::Second) {
    hit(attempts_[flight.second].hedges ? Probe::HedgeWon : Probe::MovedFromSilence);
    loser = flight.first;
    flight.first = flight.second;
    flight.second = kNobody;
    log("flight {}: {} was silent, {} goes on", number, name(attempts_[loser].to),
        name(attempts_[flight.first].to));
  }
  if (loser != kNobody) {
    const bool failed = blamed && !waits(attempts_[loser]);
    give_up(loser, failed ? AttemptOutcome::Kind::Failed : AttemptOutcome::Kind::Abandoned);
  }
  const std::uint32_t id = flight.first;
  Attempt& a = attempts_[id];
  if (a.first == 0) {
    a.first = now_;
    sites_[a.from].router->first_token(a.ticket, at(now_));
    if (a.begin > 0) {
      hit(Probe::Resumed);
      if (++flight.resumes > 1) hit(Probe::ResumedTwice);
      if (!flight.route.jurisdictions.empty()) hit(Probe::ResumedUnderLaw);
    }
  }
  while (attempts_[id].next < attempts_[id].arrived && !flights_[number].gone) {
    const std::uint32_t position = attempts_[id].next++;
    flights_[number].delivered = position + 1;
    client_token(flights_[number], position);
  }
  if (!attempts_[id].complete || flights_[number].gone) return;
  attempt_over(id, AttemptOutcome::Kind::Served);
  close_flight(number, RequestEnd::Completed, Code::Internal, "completed", 0);
}

// An attempt is over without a good end.
void World::drop(std::uint32_t number, Side side, const Error& error, bool blamed) {
  Flight& flight = flights_[number];
  const std::uint32_t id = side == Side::First ? flight.first : flight.second;
  const CandidateIndex candidate = attempts_[id].candidate;
  log("flight {}: attempt {} fails: {}", number, id, error.message);
  const auto kind = blamed ? outcome_of(error.code) : AttemptOutcome::Kind::Abandoned;
  if (attempts_[id].told) {
    attempt_over(id, kind);
  } else {
    give_up(id, kind);
  }
  flight.failover->failed(side, error.code, at(now_));
  if (too_late(flight)) flight.failover->give_up();
  if (side == Side::Second) return;
  flight.error = error;
  flight.first = std::exchange(flight.second, kNobody);
  if (planted(Defect::TriesForever) && flight.first == kNobody) {
    PlannedAttempt again;
    again.candidate = candidate;
    launch(number, Side::First, again, std::nullopt);
  }
}

void World::drop_silent(std::uint32_t number, Side side) {
  const Flight& flight = flights_[number];
  const Attempt& a = attempts_[side == Side::First ? flight.first : flight.second];
  drop(number, side, waits(a) ? queued_too_long() : too_slow(), true);
}

void World::start(std::uint32_t number, Side side) {
  Flight& flight = flights_[number];
  look_at_own_engines(flight.site);
  flight.route.tried = flight.failover->tried();
  flight.route.prompt_tokens = clients_[flight.client].arrival.in_tokens + flight.delivered;
  const auto plan = sites_[flight.site].router->plan(flight.route, at(now_));
  if (!plan) return nobody_takes(number, plan.error());
  if (side == Side::First && !flight.failover->begun() && flight.failover->attempts() > 0) {
    hit(Probe::RetriedBeforeToken);
  }
  launch(number, side, plan->attempts.front(), std::nullopt);
}

void World::nobody_takes(std::uint32_t number, const Error& error) {
  Flight& flight = flights_[number];
  log("flight {}: {}", number, error.message);
  flight.failover->no_candidate(milliseconds{error.retry_after_ms}, at(now_));
  if (flight.first == kNobody && flight.failover->begun()) flight.waits = true;
  if (!flight.error) flight.error = error;
}

void World::launch(std::uint32_t number, Side side, const PlannedAttempt& planned,
                   std::optional<Duration> hedge_after) {
  const auto id = static_cast<std::uint32_t>(attempts_.size());
  Attempt& a = attempts_.emplace_back();
  Flight& flight = flights_[number];
  Site& site = sites_[flight.site];
  const CandidateIndex candidate = planned.candidate;
  a.flight = number;
  a.from = flight.site;
  a.candidate = candidate;
  a.begin = flight.delivered;
  if (flight.delivered > 0 && planted(Defect::RepeatsToken)) --a.begin;
  if (flight.delivered > 0 && planted(Defect::SkipsToken)) ++a.begin;
  a.next = a.begin;
  a.started = now_;
  a.to = flight.site;
  if (site.candidates.at(candidate).local) {
    a.planned_engine = candidate;  // own engines come first among the candidates
  } else {
    for (const Peer& peer : site.peers) {
      if (peer.candidate == candidate) a.to = peer.site;
    }
    hit(Probe::Forwarded);
  }
  if (site.router->breaker(candidate, at(now_)) == BreakerState::HalfOpen) {
    hit(Probe::BreakerProbed);
  }
  if (std::exchange(flight.waits, false)) hit(Probe::Waited);
  a.ticket = site.router->started(candidate, flight.route, at(now_));
  a.hedges = side == Side::Second && flight.failover->hedges();
  if (a.hedges) hit(Probe::HedgeSent);
  const Prediction& expected = planned.prediction;
  flight.failover->started(side, candidate,
                           {.ttft_ms = expected.ttft_ms,
                            .uncertainty_ms = expected.uncertainty_ms,
                            .tpot_ms = expected.tpot_ms,
                            .queue_ms = expected.wait_ms + expected.slot_ms},
                           hedge_after, at(now_));
  (side == Side::First ? flight.first : flight.second) = id;
  log("flight {} of client {}: attempt {} {} > {} from token {}{}", number, flight.client, id,
      name(a.from), name(a.to), a.begin,
      side == Side::First ? ""
      : a.hedges          ? " (hedge)"
                          : " (beside a silent one)");
  const double bytes = kBytesPerMessage + kBytesPerPromptToken * flight.route.prompt_tokens;
  a.last_up = now_ + way(a.from, a.to, bytes);
  events_.push(a.last_up, kToServer, id, 0);
}

void World::arm_flight(std::uint32_t number) {
  Flight& flight = flights_[number];
  const Nanos when = flight.gone ? now_ : std::max(flight.wake, now_);
  if (when == kNever || (flight.armed > now_ && flight.armed <= when)) return;
  flight.armed = when;
  events_.push(when, kFlightTimer, number, ++flight.timer);
}

void World::on_flight_timer(std::uint32_t number) {
  flights_[number].armed = 0;
  if (flights_[number].gone) flights_[number].deaf = false;
  advance(number);
}

void World::on_token(std::uint32_t id, std::uint32_t position) {
  Attempt& a = attempts_[id];
  if (a.over || a.failure) return;
  if (a.from != a.to && chance().uniform() < broken_.corrupt_share(a.from, a.to)) {
    hit(Probe::PieceCorrupted);
    a.failure = Error{Code::Protocol, "a damaged piece came"};
  } else {
    a.arrived = position + 1;
  }
  advance(a.flight);
}

void World::on_end(std::uint32_t id, std::uint32_t how) {
  Attempt& a = attempts_[id];
  if (a.over || a.failure) return;
  a.told = true;
  if (how == kRefused && a.from != a.to && planted(Defect::LosesRefusals)) {
    flights_[a.flight].deaf = true;
    return;
  }
  switch (how) {
    case kFinished: a.complete = true; break;
    case kRefused: a.failure = Error{Code::ResourceExhausted, "overloaded"}; break;
    case kUnlawful: a.failure = Error{Code::DataResidency, "not under this law"}; break;
    default: a.failure = Error{Code::Unavailable, "the engine failed"};
  }
  advance(a.flight);
}

// The ingress is done with it: its router learns how it went.
void World::attempt_over(std::uint32_t id, AttemptOutcome::Kind kind) {
  Attempt& a = attempts_[id];
  Flight& flight = flights_[a.flight];
  a.over = true;
  if (flight.first == id) flight.first = kNobody;
  if (flight.second == id) flight.second = kNobody;
  AttemptOutcome outcome;
  outcome.kind = kind;
  outcome.finished = Duration{now_ - a.started};
  if (a.first > 0) outcome.first_token = Duration{a.first - a.started};
  // The usage of an answer that began elsewhere is not what this attempt did.
  if (kind == AttemptOutcome::Kind::Served && a.begin == 0) {
    outcome.usage = {.prompt_tokens = flight.route.prompt_tokens,
                     .completion_tokens = flight.delivered,
                     .cached_tokens = 0};
  }
  tell_router(a.from, a.to, a.candidate, a.ticket, outcome);
}

// How an attempt went at `to`, for the router of `site`.
void World::tell_router(std::uint32_t site, std::uint32_t to, CandidateIndex candidate,
                        AttemptTicket ticket, const AttemptOutcome& outcome) {
  Router& router = *sites_[site].router;
  const bool closed = router.breaker(candidate, at(now_)) != BreakerState::Open;
  router.finished(ticket, outcome, at(now_));
  if (closed && router.breaker(candidate, at(now_)) == BreakerState::Open) {
    hit(Probe::BreakerOpened);
    log("the breaker of {} over {} opens", name(site), name(to));
  }
}

// Ends it from here: its server is told.
void World::give_up(std::uint32_t id, AttemptOutcome::Kind kind) {
  attempt_over(id, kind);
  Attempt& a = attempts_[id];
  a.last_up = std::max(a.last_up, now_ + way(a.from, a.to, 0));
  events_.push(a.last_up, kCancel, id, 0);
}

// The deadline has come: that says nothing about an engine, and no other can do better.
bool World::too_late(const Flight& flight) const {
  return flight.route.deadline && at(now_) + kDeadlineSlack >= *flight.route.deadline;
}

// Nothing more is to be tried: the client is told the last error.
void World::end_in_error(std::uint32_t number) {
  Flight& flight = flights_[number];
  const bool past = flight.route.deadline && at(now_) >= *flight.route.deadline;
  if (past) hit(Probe::MissedDeadline);
  if (past || !flight.error) flight.error = Error{Code::DeadlineExceeded, "the deadline is past"};
  const Error error = *flight.error;
  const bool refused = error.code == Code::ResourceExhausted && !flight.failover->begun();
  close_flight(number, refused ? RequestEnd::Refused : RequestEnd::Failed, error.code,
               error.message,
               error.retry_after_ms > 0 ? error.retry_after_ms * 1'000'000 : kBusyRetry);
}

}  // namespace perigee::sim
