// A request where it is served: let in, queued, placed at an engine, answered.
#include <algorithm>

#include "base/assert.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {

// One way of a message that leaves now.
Nanos World::way(std::uint32_t from, std::uint32_t to, double bytes) {
  if (from == to) return 0;
  return network_->one_way(from, to, bytes, ++messages_, now_) +
         nanos_from_ms(broken_.added_ms(from, to) / 2);
}

bool World::ready(const Site& site) const {
  return std::ranges::any_of(site.engines, [](const Engine& engine) { return engine.up; });
}

EngineLoad World::load_of(const Site& site) const {
  EngineLoad sum;
  double up = 0;
  for (const Engine& engine : site.engines) {
    if (!engine.up) continue;
    const EngineLoad load = engine.tokens.load();
    sum.slots += load.slots;
    sum.slots_busy += load.slots_busy;
    sum.queued_requests += load.queued_requests;
    sum.queued_tokens += load.queued_tokens;
    sum.prefill_tokens_per_s += load.prefill_tokens_per_s;
    sum.decode_ms += load.decode_ms;
    up += 1;
  }
  if (up > 0) sum.decode_ms /= up;
  if (site.admission != nullptr) {
    const AdmissionStats stats = site.admission->stats(at(now_));
    sum.queued_requests += stats.requests;
    sum.queued_tokens += stats.tokens;
  }
  return sum;
}

void World::on_to_server(std::uint32_t id) {
  Attempt& a = attempts_[id];
  a.at_server = true;
  if (a.ended) return;
  if (broken_.down(a.to)) {  // its kernel resets the connection
    a.ended = true;
    return answer(id, kEnd, kFailed);
  }
  a.to_incarnation = sites_[a.to].incarnation;
  const bool damaged = a.from != a.to && chance().uniform() < broken_.corrupt_share(a.from, a.to);
  if (damaged) hit(Probe::PieceCorrupted);
  if (damaged || !ready(sites_[a.to])) return break_off(id, kFailed);
  const std::uint32_t tenant = clients_[flights_[a.flight].client].arrival.tenant;
  if (!lawful(tenant, a.to) && !planted(Defect::IgnoresLaw)) return break_off(id, kUnlawful);
  offer(id);
}

void World::offer(std::uint32_t id) {
  Attempt& a = attempts_[id];
  Site& site = sites_[a.to];
  const Flight& flight = flights_[a.flight];
  const Client& client = clients_[flight.client];
  EngineLoad load = load_of(site);
  const auto up = std::ranges::count(site.engines, true, &Engine::up);
  site.admission->set_capacity({.slots = load.slots,
                                .engines = static_cast<std::uint32_t>(up),
                                .prefill_tokens_per_s = load.prefill_tokens_per_s,
                                .decode_ms = load.decode_ms});
  AdmissionRequest wanted;
  wanted.tenant = flight.route.tenant;
  wanted.service_class = flight.route.service_class;
  wanted.prompt_tokens = client.arrival.in_tokens + a.begin;
  wanted.deadline = flight.route.deadline;
  wanted.begun = a.begin > 0;
  wanted.elsewhere = Duration{now_ - a.started};
  const AdmissionAnswer verdict = site.admission->offer(wanted, at(now_));
  a.admission = verdict.ticket;
  switch (verdict.verdict) {
    case AdmissionAnswer::Verdict::Admitted: place(id); break;
    case AdmissionAnswer::Verdict::Queued: site.queued.emplace(verdict.ticket, id); break;
    case AdmissionAnswer::Verdict::Refused: refuse(id, verdict.refusal); break;
  }
  check_bounds(attempts_[id].to);
  release(attempts_[id].to);
}

void World::refuse(std::uint32_t id, const AdmissionRefusal& refusal) {
  Site& site = sites_[attempts_[id].to];
  hit(refusal.why == AdmissionRefusal::Why::Full ? Probe::RefusedFull : Probe::RefusedTooLate);
  const AdmissionStats stats = site.admission->stats(at(now_));
  // Few may run for the pace of those who do: then a single one is much to do.
  if (stats.running > 0 && stats.running >= stats.slots) site.loaded = now_;
  log("attempt {} is refused at {}: {} ({} run in {} slots, {} wait)", id, name(attempts_[id].to),
      to_string(refusal.why), stats.running, stats.slots, stats.requests);
  break_off(id, kRefused);
}

// Runs what the queue lets go, refuses what it drops.
void World::release(std::uint32_t s) {
  Site& site = sites_[s];
  const auto take = [&](AdmissionTicket ticket) {
    const auto found = site.queued.find(ticket);
    PERIGEE_ASSERT(found != site.queued.end());
    const std::uint32_t id = found->second;
    site.queued.erase(found);
    return id;
  };
  while (const AdmissionTicket ticket = site.admission->next(at(now_))) place(take(ticket));
  while (const auto dropped = site.admission->dropped()) {
    const std::uint32_t id = take(dropped->ticket);
    attempts_[id].admission = 0;
    hit(Probe::DroppedFromQueue);
    break_off(id, kRefused);
  }
}

// Number of an engine of the server, or why none can take it.
Result<std::uint32_t> World::choose_engine(const Attempt& a) {
  Site& site = sites_[a.to];
  if (a.planned_engine != kNobody && site.engines[a.planned_engine].up) {
    return a.planned_engine;
  }
  look_at_own_engines(a.to);
  RouteRequest route = flights_[a.flight].route;
  route.local_only = true;
  route.tried.clear();  // those are the ingress's: it has numbers of its own
  PERIGEE_TRY(plan, site.router->plan(route, at(now_)));
  return plan.attempts.front().candidate;
}

void World::place(std::uint32_t id) {
  const Result<std::uint32_t> chosen = choose_engine(attempts_[id]);
  Attempt& a = attempts_[id];
  Site& site = sites_[a.to];
  if (!chosen) {
    log("attempt {} finds no engine at {}: {}", id, name(a.to), chosen.error().message);
    return break_off(id, chosen.error().code == Code::ResourceExhausted ? kRefused : kFailed);
  }
  const std::uint32_t number = *chosen;
  check_law(id);
  const Client& client = clients_[flights_[a.flight].client];
  if (a.begin >= client.arrival.out_tokens) {  // it broke between the last token and the end
    end_at_server(id, AttemptOutcome::Kind::Served, a.begin);
    return answer(id, kEnd, kFinished);
  }
  const TokenEngine::Sequence sequence{.attempt = id,
                                       .prompt_left = client.arrival.in_tokens + a.begin,
                                       .position = a.begin,
                                       .end = client.arrival.out_tokens};
  if (!site.engines[number].tokens.submit(sequence)) return break_off(id, kRefused);
  a.engine = number;
  site.admission->placed(a.admission, number, at(now_));
  if (a.from != a.to) {
    a.served_by_peer = true;
    a.server_started = now_;
    a.server_ticket = site.router->started(number, flights_[a.flight].route, at(now_));
  }
  step(a.to, number);
}

// In the queue of its own ingress: its engine has not been asked yet, and is not to be blamed.
bool World::waits(const Attempt& a) const {
  return a.from == a.to && a.admission != 0 && a.engine == kNobody;
}

void World::step(std::uint32_t s, std::uint32_t e) {
  Engine& engine = sites_[s].engines[e];
  if (!engine.up || engine.tokens.busy() || engine.tokens.idle()) return;
  if (engine.tokens.running() * 2 > engine.tokens.profile().batch_max ||
      engine.tokens.waiting() > 0) {
    sites_[s].loaded = now_;
  }
  engine.whole = std::max<Nanos>(engine.tokens.begin(), 1);
  time_iteration(s, e);
}

// When the iteration under way is over; again when the engine gets slower or faster (from its
// beginning: what was done of it does not count).
void World::time_iteration(std::uint32_t s, std::uint32_t e) {
  Engine& engine = sites_[s].engines[e];
  const auto took = static_cast<Nanos>(static_cast<double>(engine.whole) * broken_.slowness(s, e));
  events_.push(now_ + took, kIteration, index_of(s, e), ++engine.version);
}

void World::on_iteration(std::uint32_t index, std::uint32_t version) {
  const std::uint32_t s = engine_site_[index];
  const std::uint32_t e = index - first_engine_[s];
  Site& site = sites_[s];
  if (!site.engines[e].up || site.engines[e].version != version) return;
  made_.clear();
  site.engines[e].tokens.end(made_);
  const std::vector<TokenEngine::Made> made = made_;
  for (const TokenEngine::Made& token : made) {
    Attempt& a = attempts_[token.attempt];
    if (token.position == a.begin) {
      site.admission->first_token(a.admission, at(now_));
      a.server_first = now_;
      if (a.served_by_peer) site.router->first_token(a.server_ticket, at(now_));
    }
    answer(token.attempt, kToken, token.position);
    if (!token.last) continue;
    end_at_server(token.attempt, AttemptOutcome::Kind::Served, token.position + 1);
    answer(token.attempt, kEnd, kFinished);
  }
  release(s);
  step(s, e);
}

// Goes to the ingress, behind what went before.
void World::answer(std::uint32_t id, Kind kind, std::uint32_t b) {
  Attempt& a = attempts_[id];
  a.last_down = std::max(a.last_down, now_ + way(a.to, a.from, kBytesPerAnswerToken));
  events_.push(a.last_down, kind, id, b);
}

// The server is done with it: its admission and its router learn how it went.
void World::end_at_server(std::uint32_t id, AttemptOutcome::Kind kind, std::uint32_t tokens) {
  Attempt& a = attempts_[id];
  Site& site = sites_[a.to];
  a.ended = true;
  const std::uint32_t prompt = flights_[a.flight].route.prompt_tokens;
  const bool served = kind == AttemptOutcome::Kind::Served;
  Usage usage;
  if (served) {
    usage = {.prompt_tokens = prompt, .completion_tokens = tokens - a.begin, .cached_tokens = 0};
  }
  if (a.admission != 0) {
    site.admission->finished(a.admission, {.usage = usage, .served = served}, at(now_));
    a.admission = 0;
  }
  if (!a.served_by_peer) return;
  AttemptOutcome outcome;
  outcome.kind = kind;
  outcome.finished = Duration{now_ - a.server_started};
  if (a.server_first > 0) outcome.first_token = Duration{a.server_first - a.server_started};
  outcome.usage = usage;
  tell_router(a.to, a.to, a.engine, a.server_ticket, outcome);
}

// Ends it at the server, and tells the ingress.
void World::break_off(std::uint32_t id, End how) {
  end_at_server(id, how == kFailed ? AttemptOutcome::Kind::Failed : AttemptOutcome::Kind::Refused,
                0);
  answer(id, kEnd, how);
}

// Its ingress has given it up.
void World::withdraw(std::uint32_t id) {
  Attempt& a = attempts_[id];
  if (a.ended || !a.at_server) {
    a.ended = true;  // it never comes
    return;
  }
  Site& site = sites_[a.to];
  if (a.to_incarnation != site.incarnation || broken_.down(a.to)) return;
  if (a.admission != 0 && site.queued.erase(a.admission) > 0) {
    site.admission->cancel(a.admission, at(now_));
    a.admission = 0;
  }
  if (a.engine != kNobody) site.engines[a.engine].tokens.withdraw(id);
  if (planted(Defect::KeepsSlots)) a.admission = 0;
  end_at_server(id, AttemptOutcome::Kind::Abandoned, 0);
  release(a.to);
}

}  // namespace perigee::sim
