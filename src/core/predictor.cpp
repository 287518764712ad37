#include "core/predictor.h"

#include <algorithm>
#include <cmath>

namespace perigee {
namespace {

// What is ahead of a new request at a candidate: its report, corrected by own work.
struct Backlog {
  double queued_tokens;
  double waiting_requests;  // beyond its slots, the new one included
};

Backlog backlog_of(const Candidate& candidate) {
  const EngineLoad& load = candidate.load;
  const InFlightCounters& own = candidate.in_flight;
  const auto own_tokens = static_cast<double>(own.unseen_tokens);
  if (!candidate.load_known()) return {.queued_tokens = own_tokens, .waiting_requests = 0};
  const double reported = std::max(
      0.0, static_cast<double>(load.queued_tokens) - static_cast<double>(own.prefilled_tokens));
  const double in_report = std::max(0.0, static_cast<double>(load.slots_busy) +
                                             static_cast<double>(load.queued_requests) -
                                             static_cast<double>(own.ended_requests));
  const double requests = in_report + static_cast<double>(own.unseen_requests) + 1;
  return {.queued_tokens = reported + own_tokens,
          .waiting_requests = std::max(0.0, requests - static_cast<double>(load.slots))};
}

}  // namespace

RequestTerms terms_of(const RouteRequest& request, const ModelEntry& model, Instant now) {
  RequestTerms terms;
  terms.token_scale = model.token_scale.mean(now);
  terms.prompt_tokens = std::max(1.0, request.prompt_tokens * terms.token_scale);
  terms.output_tokens =
      request.output_tokens > 0 ? request.output_tokens : model.output_tokens.mean(now);
  if (request.output_tokens_max > 0) {
    terms.output_tokens =
        std::min(terms.output_tokens, static_cast<double>(request.output_tokens_max));
  }
  terms.targets = targets_of(request.service_class);
  return terms;
}

double published_tpot_ms(const EngineLoad& load) {
  return load.decode_ms > 0 ? load.decode_ms : kTpotDefault_ms;
}

Prediction predict(const Candidate& candidate, const RequestTerms& request,
                   std::uint32_t matched_tokens, Instant now) {
  const PrefillEstimate::Value learned = candidate.prefill.at(now);
  const Backlog backlog = backlog_of(candidate);
  Prediction p;
  p.candidate = candidate.index;
  p.breaker = candidate.breaker.state(now);
  p.refusing = candidate.refused && now < *candidate.refused + kRefusalMemory;
  p.rate_tokens_per_s = 1000 / learned.ms_per_token;
  p.tpot_ms = published_tpot_ms(candidate.load) * candidate.tpot_factor.mean(now);

  double cached = 0;
  if (matched_tokens > 0) {  // the last token is always computed
    cached = std::min(matched_tokens * request.token_scale * candidate.cache_yield.mean(now),
                      request.prompt_tokens - 1);
  }
  p.cached_tokens = static_cast<std::uint32_t>(cached);
  p.queued_tokens = static_cast<std::uint64_t>(backlog.queued_tokens);

  p.rtt_ms = candidate.rtt_ms;
  p.overhead_ms = learned.overhead_ms;
  p.wait_ms = backlog.queued_tokens * learned.ms_per_token;
  if (backlog.waiting_requests >
      0) {  // slots free one by one as streams end; prefill runs meanwhile
    const double turnover_ms = request.output_tokens * p.tpot_ms / candidate.load.slots;
    p.slot_ms = std::max(0.0, backlog.waiting_requests * turnover_ms - p.wait_ms);
  }
  p.prefill_ms = (request.prompt_tokens - cached) * learned.ms_per_token;
  p.ttft_ms = p.rtt_ms + p.overhead_ms + p.wait_ms + p.slot_ms + p.prefill_ms;
  p.uncertainty_ms = std::sqrt(
      std::max(0.0, learned.variance(backlog.queued_tokens + request.prompt_tokens - cached)));
  p.finish_ms = p.ttft_ms + request.output_tokens * p.tpot_ms;

  p.barrier_ms = candidate.barrier_ms;
  p.excess_ms = request.output_tokens * std::max(0.0, p.tpot_ms - request.targets.tpot_ms);
  p.score_ms = p.ttft_ms + p.barrier_ms + p.excess_ms;
  return p;
}

}  // namespace perigee
