// A request at its ingress: known or new, planned, and settled when it has ended.
#include <algorithm>

#include "sim/sampler.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kAnswerKept = 60 * kSecond;
constexpr Nanos kBusyRetry = 500'000'000;

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

// The first plan: what it refuses for good ends here.
void World::plan(std::uint32_t number) {
  Flight& flight = flights_[number];
  look_at_own_engines(flight.site);
  flight.failover.emplace(failover_options_,
                          Failover::Request{.service_class = flight.route.service_class,
                                            .deadline = flight.route.deadline},
                          at(now_));
  const auto plan = sites_[flight.site].router->plan(flight.route, at(now_));
  if (plan) {
    launch(number, Side::First, plan->attempts.front(), plan->hedge_after);
  } else if (plan.error().code == Code::Unavailable) {
    nobody_takes(number, plan.error());
  } else {
    const Error& error = plan.error();
    const bool unlawful = error.code == Code::DataResidency;
    if (unlawful) hit(Probe::RefusedByLaw);
    if (error.code == Code::DeadlineExceeded) hit(Probe::MissedDeadline);
    return close_flight(number, unlawful ? RequestEnd::Refused : RequestEnd::Failed, error.code,
                        error.message, error.retry_after_ms * 1'000'000);
  }
  advance(number);
}

void World::close_flight(std::uint32_t number, RequestEnd end, Code code, std::string_view reason,
                         Nanos retry_after) {
  Flight& flight = flights_[number];
  flight.open = false;
  last_end_ = now_;
  for (const std::uint32_t attempt : {flight.first, flight.second}) {
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
