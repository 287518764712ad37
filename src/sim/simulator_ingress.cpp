// What happens to a request at its ingress: decided, sent, answered.
#include <algorithm>

#include "sim/simulator.h"

namespace perigee::sim {
void Simulator::arrive(const Arrival& arrival) {
  const std::uint32_t request = new_request();
  Request& r = requests_[request];
  r.arrival = arrival;
  r.decider = arrival.ingress;
  Outcome& o = r.outcome;
  o.id = arrived_++;
  o.arrived = now_;
  o.service_class = arrival.service_class;
  o.ingress = arrival.ingress;
  o.tenant = arrival.tenant;
  o.in_tokens = arrival.in_tokens;
  o.out_tokens = arrival.out_tokens;
  o.deadline = arrival.deadline;
  recorder_.arrived(now_);
  if (health_[r.decider].down) {  // its users go to the nearest other site
    std::vector<bool> down(health_.size());
    for (std::size_t i = 0; i < down.size(); ++i) down[i] = health_[i].down;
    r.decider = network_->nearest(arrival.ingress, down);
    r.detour = nanos_from_ms(network_->rtt_ms(arrival.ingress, r.decider) / 2);
    if (r.decider == arrival.ingress) return close(request, Ending::Failed);
  }
  decide(request);
}

RequestView Simulator::view_of(const Request& r, bool local_only) const {
  const Arrival& a = r.arrival;
  RequestView view;
  view.id = r.outcome.id;
  view.tenant = a.tenant;
  view.service_class = a.service_class;
  view.prompt_tokens = a.in_tokens;
  view.output_tokens = policy_.traits.truth ? a.out_tokens : 0;
  view.prefix_blocks = {a.blocks, a.prompt_blocks};
  view.session = a.session_key;
  view.jurisdictions = tenant_laws_[a.tenant];
  view.local_only = local_only;
  if (a.deadline > 0) view.deadline = instant(r.outcome.arrived + a.deadline);
  return view;
}

// Since when `site` hears nothing of `other`; kNever: it hears.
Nanos Simulator::unheard_since(std::uint32_t site, std::uint32_t other) const {
  return std::min(
      {health_[site].silent_since, health_[other].silent_since, cut_since(site, other)});
}

// The newest digest that was sent by `until` and has arrived.
void Simulator::hear_newest(Ingress& ingress, std::uint32_t candidate, Nanos until) {
  Ingress::Track& track = ingress.tracks[candidate];
  ServingSite& peer = sites_[ingress.facts()[candidate].site];
  const std::int64_t tick = peer.digest_tick(until - track.delay);
  track.due = peer.digest_time(tick + 1) + track.delay;
  if (tick <= track.tick || tick < 0) return;
  peer.settle(now_);
  track.tick = tick;
  track.heard = peer.digest_time(tick);
  if (!peer.keeps(tick)) return;
  const ServingSite::Digest& digest = peer.digest(tick);
  ingress.hear(candidate, digest.load, digest.ready, track.heard, now_);
}

// Brings what the ingress knows up to date.
void Simulator::listen(Ingress& ingress, std::uint32_t site) {
  for (std::uint32_t i = 0; i < ingress.local_count(); ++i) {
    sites_[site].settle(now_);
    ingress.hear(i, sites_[site].engine_load(i, now_), !sites_[site].engine_down[i], now_, now_);
  }
  const auto count = static_cast<std::uint32_t>(ingress.tracks.size());
  if (faults_active_ == 0) {
    for (auto i = static_cast<std::uint32_t>(ingress.local_count()); i < count; ++i) {
      if (now_ >= ingress.tracks[i].due) hear_newest(ingress, i, now_);
    }
    return;
  }
  const Nanos patience =
      nanos_from_ms(scenario_.digests.interval_ms * scenario_.digests.gone_after);
  for (auto i = static_cast<std::uint32_t>(ingress.local_count()); i < count; ++i) {
    const Nanos unheard = unheard_since(site, ingress.facts()[i].site);
    hear_newest(ingress, i, std::min(now_, unheard));
    if (unheard != kNever && now_ - unheard > patience) ingress.set_healthy(i, false, now_);
  }
}

void Simulator::see_truth(Ingress& ingress, std::uint32_t site, std::span<CandidateView> views,
                          const Request& r) {
  const SequenceSpec spec{.prompt_tokens = r.arrival.in_tokens,
                          .output_tokens = r.arrival.out_tokens,
                          .blocks = r.arrival.blocks,
                          .prompt_blocks = r.arrival.prompt_blocks,
                          .final_blocks = r.arrival.final_blocks};
  for (std::size_t i = 0; i < views.size(); ++i) {
    const CandidateFacts& facts = ingress.facts()[i];
    CandidateView& view = views[i];
    const ServingSite& peer = sites_[facts.site];
    view.allowed = view.allowed && reachable(site, facts.site) && peer.ready();
    if (!view.allowed) continue;
    view.load = facts.local ? peer.engine_load(facts.engine, now_) : peer.load(now_);
    view.reported = instant(now_);
    bool first = true;
    for (std::uint32_t e = 0; e < peer.size(); ++e) {
      if ((facts.local && e != facts.engine) || peer.engine_down[e]) continue;
      const EngineModel::Forecast forecast = peer.engine(e).forecast(spec, now_);
      const double ttft = forecast.ttft_ms + view.rtt_ms;
      if (!first && ttft >= view.true_ttft_ms) continue;
      first = false;
      view.true_ttft_ms = ttft;
      view.true_tpot_ms = forecast.tpot_ms;
    }
  }
}

void Simulator::decide(std::uint32_t request) {
  Request& r = requests_[request];
  Ingress& ingress = *ingresses_[r.decider];
  r.choice.clear();
  if (policy_.traits.central && r.decider != scenario_.centre) {
    r.choice.add(0);
    return try_next(request);
  }
  listen(ingress, r.decider);
  const RequestView view = view_of(r, false);
  const std::span<CandidateView> views = ingress.views(view, now_);
  if (policy_.traits.truth) see_truth(ingress, r.decider, views, r);
  const Instant begun = options_.clock != nullptr ? options_.clock->now() : Instant{};
  ingress.policy().choose(view, views, instant(now_), r.choice);
  if (options_.clock != nullptr) deciding_ += options_.clock->now() - begun;
  ++decisions_;
  try_next(request);
}

void Simulator::try_next(std::uint32_t request) {
  Request& r = requests_[request];
  const Ingress& ingress = *ingresses_[r.decider];
  if (r.tried >= std::min<std::size_t>(r.choice.size(), scenario_.attempts_max)) {
    const auto& laws = tenant_laws_[r.arrival.tenant];
    const bool lawful =
        laws.empty() || std::ranges::any_of(ingress.facts(), [&](const CandidateFacts& facts) {
          return std::ranges::find(laws, facts.jurisdiction) != laws.end();
        });
    if (!lawful) return close(request, Ending::Unlawful);
    return close(request, r.outcome.ending == Ending::Failed ? Ending::Failed : Ending::Refused);
  }
  r.candidate = r.choice[r.tried++];
  send(request);
}

void Simulator::send(std::uint32_t request) {
  Request& r = requests_[request];
  Ingress& ingress = *ingresses_[r.decider];
  const CandidateFacts& facts = ingress.facts()[r.candidate];
  r.attempt = ++attempts_;
  ++r.outcome.attempts;
  r.started = now_;
  r.server = facts.site;
  r.engine = kNone;
  r.got_first = false;
  r.ticket = ingress.started(r.candidate, view_of(r, false), now_);
  if (facts.local) return deliver(request);
  if (!reachable(r.decider, r.server)) {
    events_.push(now_ + nanos_from_ms(scenario_.failure_notice_ms), kBroken, request, r.attempt);
    return;
  }
  const double bytes = kBytesPerMessage + kBytesPerPromptToken * r.arrival.in_tokens;
  backbone_bytes_ += static_cast<std::uint64_t>(bytes);
  const Nanos way =
      network_->one_way(r.decider, r.server, bytes, r.outcome.id * 64 + r.tried * 4, now_);
  events_.push(now_ + way, kDeliver, request, r.attempt);
}

void Simulator::on_first_token(std::uint32_t request) {
  Request& r = requests_[request];
  r.got_first = true;
  r.outcome.first = now_ + r.detour * 2;
  const EngineLoad* load = scenario_.digests.with_answers ? &r.load : nullptr;
  ingresses_[r.decider]->first_token(r.ticket, r.candidate, r.arrival.in_tokens, load, r.load_at,
                                     now_);
}

void Simulator::on_finished(std::uint32_t request) {
  Request& r = requests_[request];
  AttemptOutcome outcome;
  outcome.kind = AttemptOutcome::Kind::Served;
  outcome.first_token = Duration{r.outcome.first - r.detour * 2 - r.started};
  outcome.finished = Duration{now_ - r.started};
  outcome.usage = {.prompt_tokens = r.arrival.in_tokens,
                   .completion_tokens = r.arrival.out_tokens,
                   .cached_tokens = r.outcome.cached_tokens};
  const EngineLoad* load = scenario_.digests.with_answers ? &r.load : nullptr;
  ingresses_[r.decider]->finished(r.ticket, r.candidate, r.arrival.in_tokens, r.got_first, outcome,
                                  load, r.load_at, now_);
  r.outcome.finished = now_ + r.detour * 2;
  r.outcome.server = r.server;
  r.outcome.engine = r.engine == kNone ? 0 : engines_[r.engine].number;
  const auto& laws = tenant_laws_[r.arrival.tenant];
  r.outcome.law_broken =
      !laws.empty() && std::ranges::find(laws, site_law_[r.server]) == laws.end();
  close(request, Ending::Served);
}

void Simulator::on_unserved(std::uint32_t request, AttemptOutcome::Kind kind) {
  Request& r = requests_[request];
  AttemptOutcome outcome;
  outcome.kind = kind;
  outcome.finished = Duration{now_ - r.started};
  if (r.got_first) outcome.first_token = Duration{r.outcome.first - r.detour * 2 - r.started};
  ingresses_[r.decider]->finished(r.ticket, r.candidate, r.arrival.in_tokens, r.got_first, outcome,
                                  nullptr, 0, now_);
  r.outcome.ending = kind == AttemptOutcome::Kind::Failed ? Ending::Failed : Ending::Refused;
  if (r.got_first) return close(request, Ending::Failed);  // nothing is repeated after a token
  try_next(request);
}

void Simulator::close(std::uint32_t request, Ending ending) {
  Request& r = requests_[request];
  r.outcome.ending = ending;
  recorder_.ended(r.outcome);
  if (r.arrival.session != Workload::kNone) {
    const Nanos next = workload_.end_turn(r.arrival.session, ending == Ending::Served, now_);
    if (next != kNever) events_.push(next, kTurn, r.arrival.session, 0);
  }
  r.attempt = 0;
  --under_way_;
  free_requests_.push_back(request);
}

}  // namespace perigee::sim
