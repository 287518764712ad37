// A request at its ingress: known, planned, tried, delivered, gone on with, settled.
#include <algorithm>

#include "core/class_targets.h"
#include "sim/sampler.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kAnswerKept = 60 * kSecond;
constexpr std::uint32_t kAttemptsMost = 12;  // of one flight, resumed or not
constexpr Nanos kAskAgain = 200'000'000;     // while nobody can take a broken stream
constexpr Nanos kWaitMost = 10 * kSecond;    // for somebody
constexpr Nanos kBusyRetry = 500'000'000;
constexpr double kFirstPatience = 4;  // targets of the class
constexpr double kNextPatience = 40;
constexpr double kNextLeast_ms = 2'000;
constexpr Duration kPatienceMost = seconds{60};

}  // namespace

void World::on_connect(std::uint32_t client, std::uint32_t connection) {
  const Client& c = clients_[client];
  if (c.connection != connection || c.end != RequestEnd::Open) return;  // it has left already
  if (broken_.down(c.site)) return client_lost(client, connection);
  if (c.keyed && answer_known(client, connection)) return;
  open_flight(client, connection);
}

// Its key was seen here: the answer is told again, or it is told to wait for the first one.
bool World::answer_known(std::uint32_t client, std::uint32_t connection) {
  Client& c = clients_[client];
  Site& site = sites_[c.site];
  std::erase_if(site.answers, [&](const auto& one) {
    return one.second.complete && now_ - one.second.at > kAnswerKept;
  });
  const auto known = site.answers.find(client);
  if (known == site.answers.end()) {
    if (site.answers.size() < spec_.answers_max) return false;
    auto oldest = site.answers.end();
    for (auto it = site.answers.begin(); it != site.answers.end(); ++it) {
      if (!it->second.complete) continue;
      if (oldest == site.answers.end() || it->second.at < oldest->second.at) oldest = it;
    }
    if (oldest != site.answers.end()) {
      site.answers.erase(oldest);
      return false;
    }
    client_answered(client, connection, RequestEnd::Refused, Code::ResourceExhausted,
                    "as many keys as may be are under way", kBusyRetry);
    return true;
  }
  if (!known->second.complete) {
    hit(Probe::AnswerUnderWay);
    client_answered(client, connection, RequestEnd::Refused, Code::ResourceExhausted,
                    "the first request of this key is under way", kBusyRetry);
    return true;
  }
  hit(Probe::AnswerReplayed);
  Flight replay;
  replay.client = client;
  replay.connection = connection;
  for (std::uint32_t i = 0; i < known->second.tokens; ++i) client_token(replay, i);
  client_answered(client, connection, RequestEnd::Completed, Code::Internal, "replayed", 0);
  return true;
}

void World::open_flight(std::uint32_t client, std::uint32_t connection) {
  Client& c = clients_[client];
  Site& site = sites_[c.site];
  const auto refuse = [&](std::string_view why) {
    client_answered(client, connection, RequestEnd::Refused, Code::ResourceExhausted, why,
                    kBusyRetry);
  };
  if (site.flights >= spec_.requests_max) return refuse("as many requests as may be are under way");
  if (broken_.disk_full(c.site)) {
    hit(Probe::DiskFullRefused);
    return refuse("the ledger can't write");
  }
  if (site.records.full() && !planted(Defect::OverfillsLedger)) {
    hit(Probe::LedgerFullRefused);
    return refuse("the ledger is full");
  }
  const auto number = static_cast<std::uint32_t>(flights_.size());
  Flight& flight = flights_.emplace_back();
  flight.client = client;
  flight.connection = connection;
  flight.site = c.site;
  flight.incarnation = site.incarnation;
  ++site.flights;
  const Arrival& a = c.arrival;
  RouteRequest& route = flight.route;
  route.model = model_;
  route.tenant = tenants_[a.tenant];
  route.service_class = a.service_class;
  route.prompt_tokens = a.in_tokens;
  if (a.blocks != nullptr && c.tries == 1) {  // later its session may be over
    route.prefix_blocks.assign(a.blocks, a.blocks + a.prompt_blocks);
  }
  if (!planted(Defect::IgnoresLaw)) route.jurisdictions = tenant_laws_[a.tenant];
  if (a.deadline > 0) route.deadline = at(now_ + a.deadline);
  route.session = a.session_key;
  flight.record_id = mix64(std::uint64_t{client} + 1);
  if (!c.keyed || planted(Defect::BillsTriesApart)) flight.record_id = chance().next();
  flight.place = site.records.reserve({.id = flight.record_id,
                                       .request = client,
                                       .site = c.site,
                                       .tokens = 0,
                                       .outcome = Outcome::Abandoned,
                                       .ended_us = 0,
                                       .place = 0});
  if (c.keyed) site.answers[client] = {.flight = number};
  check_bounds(c.site);
  if (planted(Defect::RefusesIdle) && chance().below(5) == 0) {
    return close_flight(number, RequestEnd::Refused, Code::ResourceExhausted, "overloaded",
                        kBusyRetry);
  }
  plan(number);
}

void World::plan(std::uint32_t number) {
  Flight& flight = flights_[number];
  Site& site = sites_[flight.site];
  look_at_own_engines(flight.site);
  flight.plan_at = kNever;
  flight.planned.clear();
  flight.route.prompt_tokens = clients_[flight.client].arrival.in_tokens + flight.delivered;
  const auto plan = site.router->plan(flight.route, at(now_));
  if (plan) {
    for (const PlannedAttempt& attempt : plan->attempts) {
      flight.planned.push_back(attempt.candidate);
    }
    if (flight.broken_at != kNever) hit(Probe::Waited);
    flight.broken_at = kNever;
    const CandidateIndex first = flight.planned.front();
    flight.planned.erase(flight.planned.begin());
    flight.hedge_at = kNever;
    if (plan->hedge_after && !flight.planned.empty()) {
      flight.hedge_at = now_ + plan->hedge_after->count();
    }
    return launch(number, first, false);
  }
  const Error& error = plan.error();
  if (error.code == Code::DataResidency) hit(Probe::RefusedByLaw);
  if (error.code == Code::DeadlineExceeded) hit(Probe::MissedDeadline);
  const bool begun = flight.attempts > 0;
  if (error.code == Code::Unavailable && begun) {
    if (flight.broken_at == kNever) flight.broken_at = now_;
    if (now_ - flight.broken_at < kWaitMost) {
      flight.plan_at = now_ + kAskAgain;
      return arm_flight(number);
    }
  }
  const bool refused = error.code == Code::DataResidency;
  close_flight(number, refused ? RequestEnd::Refused : RequestEnd::Failed, error.code,
               error.message, error.retry_after_ms * 1'000'000);
}

// A busy engine is no dead one: what waits there longer than this is given up.
Duration World::patience_for(const Flight& flight, const Attempt& attempt) const {
  const ClassTargets targets = targets_of(flight.route.service_class);
  const double ms = attempt.first == 0 ? kFirstPatience * targets.ttft_ms
                                       : std::max(kNextLeast_ms, kNextPatience * targets.tpot_ms);
  return std::min<Duration>(from_ms(ms), kPatienceMost);
}

void World::launch(std::uint32_t number, CandidateIndex candidate, bool hedge) {
  const auto id = static_cast<std::uint32_t>(attempts_.size());
  Attempt& a = attempts_.emplace_back();
  Flight& flight = flights_[number];
  Site& site = sites_[flight.site];
  const CandidateState& state = site.candidates.at(candidate);
  a.flight = number;
  a.from = flight.site;
  a.candidate = candidate;
  a.begin = flight.delivered;
  if (flight.delivered > 0 && planted(Defect::RepeatsToken)) --a.begin;
  if (flight.delivered > 0 && planted(Defect::SkipsToken)) ++a.begin;
  a.started = now_;
  a.to = flight.site;
  if (state.local) {
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
  a.ticket = site.router->started(candidate, flight.route, at(now_));
  ++flight.attempts;
  flight.last = candidate;
  (hedge ? flight.hedge : flight.main) = id;
  log("flight {} of client {}: attempt {} {} > {} from token {}{}", number, flight.client, id,
      name(a.from), name(a.to), a.begin, hedge ? " (hedge)" : "");
  if (!hedge) flight.patience = now_ + patience_for(flight, a).count();
  arm_flight(number);
  const double bytes = kBytesPerMessage + kBytesPerPromptToken * flight.route.prompt_tokens;
  a.last_up = now_ + way(a.from, a.to, bytes);
  events_.push(a.last_up, kToServer, id, 0);
}

void World::arm_flight(std::uint32_t number) {
  Flight& flight = flights_[number];
  Nanos when = std::min({flight.plan_at, flight.patience, flight.hedge_at});
  if (flight.route.deadline) {
    when = std::min(when, flight.route.deadline->time_since_epoch().count());
  }
  if (flight.gone) when = now_;
  if (when == kNever) return;
  events_.push(std::max(when, now_), kFlightTimer, number, ++flight.timer);
}

void World::on_flight_timer(std::uint32_t number) {
  Flight& flight = flights_[number];
  if (!flight.open) return;
  if (flight.gone) {
    return close_flight(number, RequestEnd::Left, Code::Cancelled, "the client left", 0);
  }
  if (flight.route.deadline && at(now_) >= *flight.route.deadline) {
    hit(Probe::MissedDeadline);
    return close_flight(number, RequestEnd::Failed, Code::DeadlineExceeded, "too late", 0);
  }
  if (now_ >= flight.plan_at) return plan(number);
  if (now_ >= flight.patience && flight.main != kNobody) {
    log("flight {}: nothing comes from {}", number, name(attempts_[flight.main].to));
    hit(Probe::MovedFromSilence);
    const std::uint32_t silent = flight.main;
    give_up(silent, AttemptOutcome::Kind::Failed);
    return go_on(number, Code::Unavailable, "nothing came");
  }
  if (now_ >= flight.hedge_at) {
    flight.hedge_at = kNever;
    if (flight.main != kNobody && flight.hedge == kNobody && flight.delivered == 0) {
      hit(Probe::HedgeSent);
      const CandidateIndex second = flight.planned.front();
      flight.planned.erase(flight.planned.begin());
      return launch(number, second, true);
    }
  }
  arm_flight(number);
}

void World::on_token(std::uint32_t id, std::uint32_t position) {
  Attempt& a = attempts_[id];
  if (a.over) return;
  const std::uint32_t number = a.flight;
  if (a.from != a.to && chance().uniform() < broken_.corrupt_share(a.from, a.to)) {
    hit(Probe::PieceCorrupted);
    give_up(id, AttemptOutcome::Kind::Failed);
    return go_on(number, Code::Protocol, "a damaged piece came");
  }
  Flight& flight = flights_[number];
  if (a.first == 0) {
    a.first = now_;
    sites_[a.from].router->first_token(a.ticket, at(now_));
    if (flight.hedge != kNobody) {
      const std::uint32_t loser = flight.hedge == id ? flight.main : flight.hedge;
      if (flight.hedge == id) hit(Probe::HedgeWon);
      flight.main = id;
      flight.hedge = kNobody;
      if (loser != kNobody) give_up(loser, AttemptOutcome::Kind::Abandoned);
      flights_[number].main = id;
    }
    flight.hedge_at = kNever;
    if (a.begin > 0) {
      hit(Probe::Resumed);
      if (++flight.resumes > 1) hit(Probe::ResumedTwice);
      if (!flight.route.jurisdictions.empty()) hit(Probe::ResumedUnderLaw);
    }
  }
  flight.patience = now_ + patience_for(flight, a).count();
  deliver(number, position);
}

void World::deliver(std::uint32_t number, std::uint32_t position) {
  Flight& flight = flights_[number];
  if (flight.gone) return arm_flight(number);
  flight.delivered = position + 1;
  client_token(flight, position);
}

void World::on_end(std::uint32_t id, std::uint32_t how) {
  Attempt& a = attempts_[id];
  if (a.over) return;
  const std::uint32_t number = a.flight;
  if (how == kRefused && a.from != a.to && planted(Defect::LosesRefusals)) {
    attempt_over(id, AttemptOutcome::Kind::Refused);
    flights_[number].patience = kNever;
    return;
  }
  const Flight& flight = flights_[number];
  if (how == kFinished && flight.gone) {
    attempt_over(id, AttemptOutcome::Kind::Abandoned);
    return arm_flight(number);
  }
  if (how == kFinished) {
    attempt_over(id, AttemptOutcome::Kind::Served);
    return close_flight(number, RequestEnd::Completed, Code::Internal, "completed", 0);
  }
  attempt_over(id, how == kRefused  ? AttemptOutcome::Kind::Refused
                   : how == kFailed ? AttemptOutcome::Kind::Failed
                                    : AttemptOutcome::Kind::Abandoned);
  const Code code = how == kRefused    ? Code::ResourceExhausted
                    : how == kUnlawful ? Code::DataResidency
                                       : Code::Unavailable;
  go_on(number, code, how == kRefused ? "overloaded" : "the engine failed");
}

// The ingress is done with it: its router learns how it went.
void World::attempt_over(std::uint32_t id, AttemptOutcome::Kind kind) {
  Attempt& a = attempts_[id];
  Flight& flight = flights_[a.flight];
  a.over = true;
  if (flight.main == id) flight.main = kNobody;
  if (flight.hedge == id) flight.hedge = kNobody;
  AttemptOutcome outcome;
  outcome.kind = kind;
  outcome.finished = Duration{now_ - a.started};
  if (a.first > 0) outcome.first_token = Duration{a.first - a.started};
  if (kind == AttemptOutcome::Kind::Served) {
    outcome.usage = {.prompt_tokens = flight.route.prompt_tokens,
                     .completion_tokens = flight.delivered - a.begin,
                     .cached_tokens = 0};
  }
  Router& router = *sites_[a.from].router;
  const bool closed = router.breaker(a.candidate, at(now_)) != BreakerState::Open;
  router.finished(a.ticket, outcome, at(now_));
  if (closed && router.breaker(a.candidate, at(now_)) == BreakerState::Open) {
    hit(Probe::BreakerOpened);
  }
}

// Ends it from here: its server is told.
void World::give_up(std::uint32_t id, AttemptOutcome::Kind kind) {
  attempt_over(id, kind);
  Attempt& a = attempts_[id];
  a.last_up = std::max(a.last_up, now_ + way(a.from, a.to, 0));
  events_.push(a.last_up, kCancel, id, 0);
}

// An attempt has failed: the other one of a hedge, the next of the plan, or a new plan.
void World::go_on(std::uint32_t number, Code code, std::string_view why) {
  Flight& flight = flights_[number];
  if (!flight.open) return;
  if (flight.main == kNobody && flight.hedge != kNobody) {
    flight.main = flight.hedge;
    flight.hedge = kNobody;
    flight.patience = now_ + patience_for(flight, attempts_[flight.main]).count();
    return arm_flight(number);
  }
  if (flight.main != kNobody) return;  // the hedge failed, the first one runs
  flight.patience = kNever;
  flight.hedge_at = kNever;
  if (flight.gone) return arm_flight(number);
  const bool endless = planted(Defect::TriesForever);
  if (endless) return launch(number, flight.last, false);
  const std::uint32_t most = flight.delivered > 0 ? kAttemptsMost : spec_.scenario.attempts_max;
  if (code == Code::DataResidency || flight.attempts >= most) {
    const bool refused = code == Code::ResourceExhausted && flight.delivered == 0;
    return close_flight(number, refused ? RequestEnd::Refused : RequestEnd::Failed, code, why,
                        kBusyRetry);
  }
  if (flight.delivered == 0 && !flight.planned.empty()) {
    hit(Probe::RetriedBeforeToken);
    const CandidateIndex next = flight.planned.front();
    flight.planned.erase(flight.planned.begin());
    return launch(number, next, false);
  }
  if (flight.delivered == 0 && code == Code::ResourceExhausted) {
    return close_flight(number, RequestEnd::Refused, code, why, kBusyRetry);
  }
  if (code == Code::ResourceExhausted) {  // a stream that everybody refuses waits a moment
    flight.plan_at = now_ + kAskAgain;
    return arm_flight(number);
  }
  plan(number);
}

void World::close_flight(std::uint32_t number, RequestEnd end, Code code, std::string_view reason,
                         Nanos retry_after) {
  Flight& flight = flights_[number];
  flight.open = false;
  flight.plan_at = flight.patience = flight.hedge_at = kNever;
  for (const std::uint32_t attempt : {flight.main, flight.hedge}) {
    if (attempt != kNobody) give_up(attempt, AttemptOutcome::Kind::Abandoned);
  }
  Site& site = sites_[flight.site];
  --site.flights;
  if (end == RequestEnd::Refused || end == RequestEnd::Failed) check_refusal(flight, code, reason);
  settle(number, end == RequestEnd::Completed ? Outcome::Completed
                 : end == RequestEnd::Left    ? Outcome::Abandoned
                                              : Outcome::Failed);
  if (const auto known = site.answers.find(flight.client);
      known != site.answers.end() && known->second.flight == number) {
    if (end == RequestEnd::Completed) {
      known->second = {.complete = true, .tokens = flight.delivered, .at = now_};
    } else {
      site.answers.erase(known);
    }
  }
  if (end == RequestEnd::Completed && broken_.island(flight.site)) hit(Probe::IslandServed);
  if (end == RequestEnd::Left) return;
  if (end == RequestEnd::Completed && planted(Defect::EndsTwice)) {
    client_answered(flight.client, flight.connection, end, code, reason, 0);
  }
  client_answered(flight.client, flight.connection, end, code, reason, retry_after);
}

void World::settle(std::uint32_t number, Outcome outcome) {
  const Flight& flight = flights_[number];
  const double ahead_s = broken_.clock_ahead_s(flight.site);
  if (ahead_s != 0) hit(Probe::ClockJumped);
  const bool full = broken_.disk_full(flight.site);
  sites_[flight.site].records.settle(
      flight.place,
      {.id = flight.record_id,
       .request = flight.client,
       .site = flight.site,
       .tokens = flight.delivered,
       .outcome = outcome,
       .ended_us = static_cast<std::int64_t>(static_cast<double>(now_) * 1e-3 + ahead_s * 1e6),
       .place = 0},
      full ? kNever : now_ + kStoreTime);
  check_bounds(flight.site);
}

}  // namespace perigee::sim
