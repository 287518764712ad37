#include "core/router.h"

#include <algorithm>

#include "core/candidate_table.h"
#include "core/in_flight.h"
#include "core/planner.h"
#include "core/predictor.h"
#include "core/prefix_table.h"
#include "core/session_key.h"

namespace perigee {
namespace {

// Fewer output tokens say little about the time per token, fewer prompt tokens little about the
// tokenizer.
constexpr std::uint32_t kOutputTokensLeast = 4;
constexpr std::uint32_t kPromptTokensLeast = 16;
// An answer that came in one piece: its first token is inferred, and this share of the whole
// unsure.
constexpr double kInferredNoise = 0.25;

// Of one answer: those to one request are written at once.
double tokens_each(const Usage& usage, const AttemptRecord& record) {
  return static_cast<double>(usage.completion_tokens) / record.choices;
}

}  // namespace

struct Router::State {
  explicit State(const RouterOptions& with)
      : options(with),
        random(with.seed),
        candidates(with.candidates_max),
        attempts(with.attempts_in_flight_max),
        prefixes(with.prefix_blocks_max, with.seed) {}

  PlanContext context() const { return {candidates, prefixes, options}; }
  void learn(const AttemptRecord& record, Candidate& candidate, const AttemptOutcome& outcome,
             Instant now);
  void learn_first_token(const AttemptRecord& record, Candidate& candidate,
                         const AttemptOutcome& outcome, Instant now);
  void learn_tokens(const AttemptRecord& record, Candidate& candidate, const Usage& usage,
                    Instant now);

  RouterOptions options;
  Random random;
  CandidateTable candidates;
  InFlightTable attempts;
  PrefixTable prefixes;
  PlanScratch scratch;
};

Router::Router(RouterOptions options) : state_(std::make_unique<State>(options)) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

Result<CandidateIndex> Router::update(const CandidateState& state, Instant) {
  return state_->candidates.update(state, state_->attempts);
}

void Router::report(CandidateIndex index, const EngineLoad& load, Instant reported) {
  state_->candidates.report(index, load, reported, state_->attempts);
}

void Router::remove(const CandidateId& id) { state_->candidates.remove(id); }

PrefixFilter Router::held_prefixes(const ModelId& model, std::uint32_t blocks_max,
                                   Instant now) const {
  const CandidateTable& candidates = state_->candidates;
  const ModelEntry* wanted = candidates.model(model);
  return state_->prefixes.summarize(blocks_max, now, [&](CandidateIndex index) {
    const Candidate* holder = candidates.find(index);
    return holder != nullptr && holder->local && &candidates.model_of(*holder) == wanted;
  });
}

const CandidateState* Router::candidate(CandidateIndex index) const {
  return state_->candidates.state(index);
}

std::optional<CandidateIndex> Router::find(const CandidateId& id) const {
  return state_->candidates.find(id);
}

InFlight Router::in_flight(CandidateIndex index) const {
  const Candidate* candidate = std::as_const(state_->candidates).find(index);
  if (candidate == nullptr) return {};
  return {.requests = candidate->in_flight.requests,
          .unseen_tokens = candidate->in_flight.unseen_tokens,
          .unseen_requests = candidate->in_flight.unseen_requests};
}

BreakerState Router::breaker(CandidateIndex index, Instant now) const {
  const Candidate* candidate = std::as_const(state_->candidates).find(index);
  return candidate == nullptr ? BreakerState::Closed : candidate->breaker.state(now);
}

Result<RoutePlan> Router::plan(const RouteRequest& request, Instant now) {
  if (request.deadline && *request.deadline <= now) {
    return Error{Code::DeadlineExceeded, "the deadline is past; repeat with more time"};
  }
  const PlanContext context = state_->context();
  const bool known = consider_all(context, request, now, false, state_->scratch);
  if (state_->scratch.eligible.empty()) {
    return why_none(context, request, now, known, state_->scratch);
  }
  return choose(context, request, now, state_->random, state_->scratch);
}

RouteExplanation Router::explain(const RouteRequest& request, Instant now) const {
  PlanScratch scratch;
  Random random = state_->random;
  const PlanContext context = state_->context();
  consider_all(context, request, now, true, scratch);
  RouteExplanation explanation;
  if (!request.deadline || *request.deadline > now) {
    RoutePlan plan = choose(context, request, now, random, scratch);
    explanation.attempts = plan.attempts;
    explanation.hedge_after = plan.hedge_after;
  }
  std::vector<std::size_t> order(scratch.eligible.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const Considered& one = scratch.eligible[a];
    const Considered& two = scratch.eligible[b];
    if (one.tier != two.tier) return one.tier < two.tier;
    if (one.cost != two.cost) return one.cost < two.cost;
    return a < b;
  });
  const auto add = [&](std::uint32_t slot, std::uint32_t matched) -> Prediction& {
    const CandidateTable& candidates = state_->candidates;
    return explanation.candidates.emplace_back(
        predict(candidates.at(slot), candidates.view(slot, now), scratch.terms, matched, now));
  };
  for (const std::size_t i : order) {
    add(scratch.eligible[i].slot, scratch.eligible[i].matched_blocks);
  }
  for (const Rejected& rejected : scratch.rejected) {
    const CandidateView& view = state_->candidates.view(rejected.slot, now);
    add(rejected.slot, matched_blocks(view, rejected.slot, request, scratch)).rejection =
        rejected.rejection;
  }
  return explanation;
}

AttemptTicket Router::started(CandidateIndex index, const RouteRequest& request, Instant now) {
  Candidate* candidate = state_->candidates.find(index);
  if (candidate == nullptr) return 0;
  const PlanContext context = state_->context();
  match_prefixes(context, request, now, state_->scratch);
  const std::uint32_t slot = CandidateTable::slot_of(index);
  const CandidateView& view = context.candidates.view(slot, now);
  const std::uint32_t matched = matched_blocks(view, slot, request, state_->scratch);
  const RequestTerms terms =
      terms_of(request, state_->candidates.model_of(*candidate), state_->options, now);
  const Prediction predicted = predict(*candidate, view, terms, matched, now);

  AttemptRecord record;
  record.candidate = index;
  record.prompt_tokens = request.prompt_tokens;
  record.choices = std::max(1U, request.choices);
  record.tokens = static_cast<std::uint32_t>(terms.prompt_tokens) - predicted.cached_tokens;
  record.matched_tokens = matched * state_->options.prefix_block_tokens;
  record.queued_tokens = static_cast<double>(predicted.queued_tokens) / candidate->engines;
  record.token_scale = terms.token_scale;
  record.other_ms = predicted.rtt_ms + predicted.slot_ms;
  record.ttft_ms = predicted.ttft_ms;
  record.tpot_published_ms = published_tpot_ms(candidate->load);
  const AttemptTicket ticket =
      state_->attempts.start(record, candidate->in_flight, from_ms(predicted.rtt_ms / 2), now);
  if (ticket != 0) state_->attempts.mark_probe(ticket, candidate->breaker.started(now));
  state_->candidates.changed(*candidate);

  state_->prefixes.insert(request.prefix_blocks, index, now);
  if (request.session != 0) {
    const std::uint64_t key = session_key(request.session);
    state_->prefixes.insert({&key, 1}, index, now);
  }
  return ticket;
}

void Router::first_token(AttemptTicket ticket, Instant now) {
  const AttemptRecord* record = state_->attempts.find(ticket);
  if (record == nullptr) return;
  Candidate* candidate = state_->candidates.find(record->candidate);
  if (candidate != nullptr && record->probe) {
    candidate->breaker.succeeded(true, now);
    state_->attempts.mark_probe(ticket, false);
  }
  state_->attempts.prefilled(ticket, candidate != nullptr ? &candidate->in_flight : nullptr, now);
  if (candidate != nullptr) state_->candidates.changed(*candidate);
}

void Router::finished(AttemptTicket ticket, const AttemptOutcome& outcome, Instant now) {
  const AttemptRecord* record = state_->attempts.find(ticket);
  if (record == nullptr) return;
  Candidate* candidate = state_->candidates.find(record->candidate);
  if (candidate != nullptr) {
    switch (outcome.kind) {
      case AttemptOutcome::Kind::Served: candidate->breaker.succeeded(record->probe, now); break;
      case AttemptOutcome::Kind::Failed: candidate->breaker.failed(record->probe, now); break;
      case AttemptOutcome::Kind::Refused: candidate->refused = now; [[fallthrough]];
      case AttemptOutcome::Kind::Abandoned: candidate->breaker.released(record->probe); break;
    }
    state_->learn(*record, *candidate, outcome, now);
  }
  state_->attempts.end(ticket, candidate != nullptr ? &candidate->in_flight : nullptr, now);
  if (candidate != nullptr) state_->candidates.changed(*candidate);
}

void Router::State::learn(const AttemptRecord& record, Candidate& candidate,
                          const AttemptOutcome& outcome, Instant now) {
  if (outcome.kind == AttemptOutcome::Kind::Failed ||
      outcome.kind == AttemptOutcome::Kind::Refused) {
    return;
  }
  learn_first_token(record, candidate, outcome, now);
  if (outcome.kind == AttemptOutcome::Kind::Served) {
    learn_tokens(record, candidate, outcome.usage, now);
  }
  const double tokens = tokens_each(outcome.usage, record);
  if (outcome.first_token && outcome.finished && tokens >= kOutputTokensLeast) {
    const double per_token = to_ms(*outcome.finished - *outcome.first_token) / (tokens - 1);
    candidate.tpot_factor.observe(per_token / record.tpot_published_ms, now);
  }
}

void Router::State::learn_first_token(const AttemptRecord& record, Candidate& candidate,
                                      const AttemptOutcome& outcome, Instant now) {
  const Usage& usage = outcome.usage;
  double own_tokens = record.tokens;
  if (usage.prompt_tokens > 0) {
    own_tokens = usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens);
  }
  const double tokens = record.queued_tokens + own_tokens;
  if (outcome.first_token) {
    candidate.prefill.observe(tokens, to_ms(*outcome.first_token) - record.other_ms, 0, now);
    return;
  }
  if (!outcome.finished) return;
  const double whole = to_ms(*outcome.finished);
  if (outcome.kind == AttemptOutcome::Kind::Abandoned) {  // the first token was later than this
    if (whole > record.ttft_ms) candidate.prefill.observe(tokens, whole - record.other_ms, 0, now);
    return;
  }
  const double decode =
      tokens_each(usage, record) * record.tpot_published_ms * candidate.tpot_factor.mean(now);
  candidate.prefill.observe(tokens, std::max(0.0, whole - decode - record.other_ms),
                            kInferredNoise * decode, now);
}

void Router::State::learn_tokens(const AttemptRecord& record, Candidate& candidate,
                                 const Usage& usage, Instant now) {
  ModelEntry& model = candidates.model_of(candidate);
  if (usage.completion_tokens > 0) {
    model.output_tokens.observe(tokens_each(usage, record), now);
  }
  if (usage.prompt_tokens == 0) return;
  if (record.prompt_tokens >= kPromptTokensLeast) {
    model.token_scale.observe(static_cast<double>(usage.prompt_tokens) / record.prompt_tokens, now);
  }
  if (record.matched_tokens > 0) {
    const double expected = std::min(record.matched_tokens * record.token_scale,
                                     static_cast<double>(usage.prompt_tokens));
    candidate.cache_yield.observe(std::min(1.0, usage.cached_tokens / expected), now);
  }
}

}  // namespace perigee
