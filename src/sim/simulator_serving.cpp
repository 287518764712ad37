// What happens to a request where it is served: queued, run, answered.
#include <algorithm>

#include "sim/simulator.h"

namespace perigee::sim {

void Simulator::deliver(std::uint32_t request) {
  Request& r = requests_[request];
  if (health_[r.server].down) return break_off(request, nanos_from_ms(scenario_.failure_notice_ms));
  ServingSite& site = sites_[r.server];
  site.settle(now_);
  if (!site.ready()) return break_off(request, 0);
  if (site.admission != nullptr) {
    offer(request);
  } else {
    place(request);
  }
}

void Simulator::offer(std::uint32_t request) {
  Request& r = requests_[request];
  ServingSite& site = sites_[r.server];
  const EngineLoad load = site.engines_load(now_);
  const auto up = std::ranges::count(site.engine_down, false);
  site.admission->set_capacity({.slots = load.slots,
                                .engines = static_cast<std::uint32_t>(up),
                                .prefill_tokens_per_s = load.prefill_tokens_per_s,
                                .decode_ms = load.decode_ms});
  AdmissionRequest wanted;
  wanted.tenant = tenant_ids_[r.arrival.tenant];
  wanted.service_class = r.arrival.service_class;
  wanted.prompt_tokens = r.arrival.in_tokens;
  for (std::uint32_t i = 0; i < site.size(); ++i) {  // what the engine would find
    if (site.engine_down[i] || r.arrival.prompt_blocks == 0) continue;
    const SequenceSpec spec{.prompt_tokens = r.arrival.in_tokens,
                            .blocks = r.arrival.blocks,
                            .prompt_blocks = r.arrival.prompt_blocks};
    wanted.cached_tokens = std::max(wanted.cached_tokens, site.engine(i).cached_tokens(spec));
  }
  if (r.arrival.deadline > 0) wanted.deadline = instant(r.outcome.arrived + r.arrival.deadline);
  wanted.elsewhere =
      Duration{now_ - r.outcome.arrived} +
      from_ms(network_->rtt_ms(r.decider, r.server) / 2 + scenario_.network.access_ms);
  const AdmissionAnswer answer = site.admission->offer(wanted, instant(now_));
  r.admission = answer.ticket;
  switch (answer.verdict) {
    case AdmissionAnswer::Verdict::Admitted: place(request); break;
    case AdmissionAnswer::Verdict::Queued: site.queued.emplace(answer.ticket, request); break;
    case AdmissionAnswer::Verdict::Refused: refuse(request); break;
  }
  release(r.server);
}

// Runs what the queue lets go, refuses what it drops.
void Simulator::release(std::uint32_t s) {
  ServingSite& site = sites_[s];
  while (const AdmissionTicket ticket = site.admission->next(instant(now_))) {
    const auto found = site.queued.find(ticket);
    PERIGEE_ASSERT(found != site.queued.end());
    const std::uint32_t request = found->second;
    site.queued.erase(found);
    place(request);
  }
  while (const auto dropped = site.admission->dropped()) {
    const auto found = site.queued.find(dropped->ticket);
    PERIGEE_ASSERT(found != site.queued.end());
    const std::uint32_t request = found->second;
    site.queued.erase(found);
    requests_[request].admission = 0;
    refuse(request);
  }
}

std::uint32_t Simulator::choose_engine(const Request& r, bool& pooled) {
  Ingress& ingress = *ingresses_[r.server];
  const bool central = policy_.traits.central && r.decider != r.server;
  if (r.decider == r.server) {
    pooled = r.choice.pooled;
    return ingress.facts()[r.candidate].engine;
  }
  if (sites_[r.server].size() == 1 && !central) return 0;
  listen(ingress, r.server);
  const RequestView view = view_of(r, true);
  const std::span<CandidateView> views = ingress.views(view, now_);
  if (policy_.traits.truth) see_truth(ingress, r.server, views, r);
  local_choice_.clear();
  ingress.policy().choose(view, views, instant(now_), local_choice_);
  pooled = local_choice_.pooled;
  return local_choice_.empty() ? kNone : ingress.facts()[local_choice_[0]].engine;
}

void Simulator::place(std::uint32_t request) {
  Request& r = requests_[request];
  bool pooled = false;
  const std::uint32_t number = choose_engine(r, pooled);
  if (pooled) {
    ServingSite& site = sites_[r.server];
    site.pool.push_back({request, r.arrival.in_tokens});
    site.pool_tokens += r.arrival.in_tokens;
    return pump(r.server);
  }
  if (number == kNone) return refuse(request);
  submit(request, engine_index(r.server, number));
}

// Late binding: an engine takes the oldest of the pool while it has room and little to prefill.
void Simulator::pump(std::uint32_t s) {
  ServingSite& site = sites_[s];
  while (!site.pool.empty()) {
    std::uint32_t best = kNone;
    for (std::uint32_t i = 0; i < site.size(); ++i) {
      const EngineModel& engine = site.engine(i);
      if (site.engine_down[i] || engine.free_slots() == 0 ||
          engine.backlog_tokens() >= engine.profile().batch_tokens_max) {
        continue;
      }
      if (best == kNone || engine.running() + engine.waiting() <
                               site.engine(best).running() + site.engine(best).waiting()) {
        best = i;
      }
    }
    if (best == kNone) return;
    const ServingSite::Waiting next = site.pool.front();
    site.pool.pop_front();
    site.pool_tokens -= next.prompt_tokens;
    submit(next.request, engine_index(s, best));
  }
}

void Simulator::submit(std::uint32_t request, std::uint32_t index) {
  Request& r = requests_[request];
  const Engine& engine = engines_[index];
  if (sites_[engine.site].engine_down[engine.number]) return break_off(request, 0);
  const SequenceSpec spec{.request = request,
                          .prompt_tokens = r.arrival.in_tokens,
                          .output_tokens = r.arrival.out_tokens,
                          .blocks = r.arrival.blocks,
                          .prompt_blocks = r.arrival.prompt_blocks,
                          .final_blocks = r.arrival.final_blocks};
  if (!sites_[engine.site].engine(engine.number).submit(spec, now_)) return refuse(request);
  r.engine = index;
  if (r.admission != 0) {
    sites_[r.server].admission->placed(r.admission, engine.number, instant(now_));
  }
  if (r.decider != r.server) {
    r.local = engine.number;  // own engines come first among the candidates
    r.server_started = now_;
    r.server_ticket = ingresses_[r.server]->started(r.local, view_of(r, true), now_);
  }
  reschedule(index);
}

void Simulator::reschedule(std::uint32_t index) {
  Engine& engine = engines_[index];
  const Nanos next = sites_[engine.site].engine(engine.number).next_boundary();
  if (next == engine.scheduled) return;
  engine.scheduled = next;
  ++engine.version;
  if (next != kNever) events_.push(next, kBoundary, index, engine.version);
}

void Simulator::boundary(std::uint32_t index) {
  Engine& engine = engines_[index];
  ServingSite& site = sites_[engine.site];
  site.settle(now_);
  notices_.clear();
  engine.scheduled = kNever;
  site.engine(engine.number).boundary(now_, notices_);
  for (const EngineNotice& notice : notices_) {
    Request& r = requests_[notice.request];
    PERIGEE_ASSERT(r.engine == index);
    const bool first = notice.what == EngineNotice::What::FirstToken;
    if (first) r.outcome.cached_tokens = notice.cached_tokens;
    if (site.admission != nullptr) {
      if (first) {
        site.admission->first_token(r.admission, instant(now_));
      } else {
        const AdmissionOutcome outcome{.usage = {.prompt_tokens = r.arrival.in_tokens,
                                                 .completion_tokens = r.arrival.out_tokens,
                                                 .cached_tokens = r.outcome.cached_tokens}};
        site.admission->finished(r.admission, outcome, instant(now_));
        r.admission = 0;
      }
    }
    if (r.local != kNone && first) {
      r.server_first = now_;
      ingresses_[r.server]->first_token(r.server_ticket, r.local, r.arrival.in_tokens, nullptr, 0,
                                        now_);
    } else if (!first) {
      end_at_server(r, AttemptOutcome::Kind::Served);
    }
    answer(notice.request, first ? kFirstToken : kFinished);
  }
  if (site.admission != nullptr) release(engine.site);
  if (!site.pool.empty()) pump(engine.site);
  reschedule(index);
}

// The first or the last token goes to the ingress.
void Simulator::answer(std::uint32_t request, Kind kind) {
  Request& r = requests_[request];
  ServingSite& site = sites_[r.server];
  if (scenario_.digests.with_answers) {
    r.load_at = now_;
    const bool local = r.decider == r.server;
    r.load = local ? site.engine_load(engines_[r.engine].number, now_) : site.load(now_);
  }
  if (r.decider == r.server) {
    if (kind == kFirstToken) return on_first_token(request);
    return on_finished(request);
  }
  const std::uint64_t key = r.outcome.id * 64 + r.tried * 4 + (kind == kFirstToken ? 1U : 2U);
  const Nanos way = network_->one_way(r.server, r.decider, kBytesPerAnswerToken, key, now_);
  Nanos arrives = now_ + way;
  if (kind == kFirstToken) {
    r.first_due = arrives;
  } else {
    arrives = std::max(arrives, r.first_due);
    backbone_bytes_ +=
        static_cast<std::uint64_t>(kBytesPerMessage + kBytesPerAnswerToken * r.arrival.out_tokens);
  }
  events_.push(arrives, kind, request, r.attempt);
}

void Simulator::refuse(std::uint32_t request) {
  Request& r = requests_[request];
  if (r.admission != 0) {
    sites_[r.server].admission->finished(r.admission, {.usage = {}, .served = false},
                                         instant(now_));
    r.admission = 0;
  }
  const Nanos way = r.decider == r.server
                        ? 0
                        : network_->one_way(r.server, r.decider, kBytesPerMessage,
                                            r.outcome.id * 64 + r.tried * 4 + 3, now_);
  events_.push(now_ + way, kRefused, request, r.attempt);
}

// The server's own policy learns how it went, too.
void Simulator::end_at_server(Request& r, AttemptOutcome::Kind kind) {
  if (r.local == kNone) return;
  AttemptOutcome outcome;
  outcome.kind = kind;
  outcome.finished = Duration{now_ - r.server_started};
  const bool first = r.server_first > 0;
  if (first) outcome.first_token = Duration{r.server_first - r.server_started};
  if (kind == AttemptOutcome::Kind::Served) {
    outcome.usage = {.prompt_tokens = r.arrival.in_tokens,
                     .completion_tokens = r.arrival.out_tokens,
                     .cached_tokens = r.outcome.cached_tokens};
  }
  ingresses_[r.server]->finished(r.server_ticket, r.local, r.arrival.in_tokens, first, outcome,
                                 nullptr, 0, now_);
  r.local = kNone;
  r.server_first = 0;
}

// Takes the attempt away from wherever it waits or runs at its server.
void Simulator::cancel(std::uint32_t request) {
  Request& r = requests_[request];
  ServingSite& site = sites_[r.server];
  site.settle(now_);
  end_at_server(r, AttemptOutcome::Kind::Abandoned);
  if (r.engine != kNone) {
    site.engine(engines_[r.engine].number).abort(request);
    reschedule(r.engine);
  }
  for (auto waiting = site.pool.begin(); waiting != site.pool.end(); ++waiting) {
    if (waiting->request != request) continue;
    site.pool_tokens -= waiting->prompt_tokens;
    site.pool.erase(waiting);
    break;
  }
  if (r.admission == 0) return;
  site.queued.erase(r.admission);
  site.admission->cancel(r.admission, instant(now_));
  r.admission = 0;
  release(r.server);
}

// The ingress learns that the attempt is over, `after` more than the way back.
void Simulator::break_off(std::uint32_t request, Nanos after) {
  Request& r = requests_[request];
  end_at_server(r, AttemptOutcome::Kind::Failed);
  if (r.admission != 0) {
    sites_[r.server].admission->finished(r.admission, {.usage = {}, .served = false},
                                         instant(now_));
    r.admission = 0;
  }
  const Nanos way = nanos_from_ms(network_->rtt_ms(r.decider, r.server) / 2);
  events_.push(now_ + way + after, kBroken, request, r.attempt);
}

}  // namespace perigee::sim
