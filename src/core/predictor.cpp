#include "core/predictor.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace perigee {
namespace {

constexpr double kMicrosPerUnit = 1e6;
constexpr double kTokensPerMtok = 1e6;
constexpr double kBytesPerMib = 1024.0 * 1024.0;
// Whatever a request says its time is worth, terms stay comparable numbers.
constexpr double kSensitivityMost_ms = 1e9;
constexpr double kBytesMost = 1e12;
// Beyond, less than a ten-thousandth of a deviation is at stake.
constexpr double kFarDeviations = 3.5;

// What is ahead of a new request at a candidate: its report, corrected by own work.
struct Backlog {
  double queued_tokens;
  double tokens_ahead;      // of these, at the one engine that it comes to
  double waiting_requests;  // beyond its slots, the new one included
};

Backlog backlog_of(const Candidate& candidate) {
  const EngineLoad& load = candidate.load;
  const InFlightCounters& own = candidate.in_flight;
  const auto own_tokens = static_cast<double>(own.unseen_tokens);
  if (!candidate.load_known()) {
    return {.queued_tokens = own_tokens,
            .tokens_ahead = own_tokens / candidate.engines,
            .waiting_requests = 0};
  }
  const double reported = std::max(
      0.0, static_cast<double>(load.queued_tokens) - static_cast<double>(own.prefilled_tokens));
  const double in_report = std::max(0.0, static_cast<double>(load.slots_busy) +
                                             static_cast<double>(load.queued_requests) -
                                             static_cast<double>(own.ended_requests));
  const double requests = in_report + static_cast<double>(own.unseen_requests) + 1;
  return {.queued_tokens = reported + own_tokens,
          .tokens_ahead = (reported + own_tokens) / candidate.engines,
          .waiting_requests = std::max(0.0, requests - candidate.slots_usable)};
}

Instant view_instant(Instant now) {
  return Instant{now.time_since_epoch() / kViewTick * kViewTick};
}

}  // namespace

RequestTerms terms_of(const RouteRequest& request, const ModelEntry& model,
                      const RouterOptions& options, Instant now) {
  RequestTerms terms;
  terms.token_scale = model.token_scale.mean(now);
  terms.prompt_tokens = std::max(1.0, request.prompt_tokens * terms.token_scale);
  terms.block_tokens = options.prefix_block_tokens * terms.token_scale;
  terms.output_tokens =
      request.output_tokens > 0 ? request.output_tokens : model.output_tokens.mean(now);
  if (request.output_tokens_max > 0) {
    terms.output_tokens =
        std::min(terms.output_tokens, static_cast<double>(request.output_tokens_max));
  }
  terms.targets = targets_of(request.service_class);
  terms.service_class = request.service_class;
  const double written = terms.output_tokens * std::max(1U, request.choices);
  terms.mtok = (terms.prompt_tokens + written) / kTokensPerMtok;
  if (std::isfinite(request.price_sensitivity_ms)) {
    terms.price_ms_per_micro =
        std::clamp(request.price_sensitivity_ms, 0.0, kSensitivityMost_ms) / kMicrosPerUnit;
  }
  const double bytes = request.bytes > 0 ? static_cast<double>(request.bytes)
                                         : terms.prompt_tokens * kBytesPerPromptToken +
                                               written * kBytesPerOutputToken;
  terms.mib = std::min(bytes, kBytesMost) / kBytesPerMib;
  return terms;
}

double published_tpot_ms(const EngineLoad& load) {
  return load.decode_ms > 0 ? load.decode_ms : kTpotDefault_ms;
}

double expected_excess_ms(double tpot_ms, double pace_ms) {
  const double deviation = kTpotFactor.noise * tpot_ms;
  const double over = tpot_ms - pace_ms;
  if (over < -kFarDeviations * deviation) return 0;
  if (over > kFarDeviations * deviation) return over;
  const double z = over / deviation;
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
  return deviation * density + over * std::erfc(-z / std::numbers::sqrt2) / 2;
}

CandidateView view_of(const Candidate& candidate, const CandidateState& state, Instant now) {
  const Instant then = view_instant(now);
  const PrefillEstimate::Value learned = candidate.prefill.at(then);
  const Backlog backlog = backlog_of(candidate);
  CandidateView view;
  view.tick = view_tick(now);
  view.index = candidate.index;
  view.jurisdiction = candidate.jurisdiction;
  view.site = candidate.site;
  view.context_tokens = state.context_tokens;
  view.local = candidate.local;
  view.open = candidate.healthy && !candidate.drained && candidate.has_capacity() &&
              candidate.breaker.closed() && !candidate.refused;
  view.capabilities = state.capabilities;
  view.attestation = state.attestation;
  view.rtt_ms = candidate.rtt_ms;
  view.wait_ms = backlog.tokens_ahead * learned.ms_per_token;
  view.ready_ms = candidate.rtt_ms + learned.overhead_ms + view.wait_ms;
  view.ms_per_token = learned.ms_per_token;
  view.tpot_ms = published_tpot_ms(candidate.load) * candidate.tpot_factor.mean(then);
  if (backlog.waiting_requests > 0 && candidate.slots_usable > 0) {
    view.slot_ms_per_output = backlog.waiting_requests * view.tpot_ms / candidate.slots_usable;
  }
  view.barrier_ms = candidate.barrier_ms;
  view.cache_yield = candidate.cache_yield.mean(then);
  view.price_micros_per_mtok =
      static_cast<double>(std::max<std::int64_t>(state.price_micros_per_mtok, 0));
  view.backbone_ms_per_mib = candidate.backbone_ms_per_mib;
  view.held = state.held.get();
  for (std::size_t i = 0; i < view.excess_per_output.size(); ++i) {
    const double pace_ms = targets_of(static_cast<ServiceClass>(i)).tpot_ms;
    view.excess_per_output[i] = static_cast<float>(expected_excess_ms(view.tpot_ms, pace_ms));
  }
  return view;
}

Prediction predict(const Candidate& candidate, const CandidateView& view,
                   const RequestTerms& request, std::uint32_t matched_blocks, Instant now) {
  const Estimate e = estimate(view, request, matched_blocks);
  const Backlog backlog = backlog_of(candidate);
  const PrefillEstimate::Value learned = candidate.prefill.at(view_instant(now));
  Prediction p;
  p.candidate = candidate.index;
  p.breaker = candidate.breaker.state(now);
  p.refusing = candidate.refused && now < *candidate.refused + kRefusalMemory;
  p.rtt_ms = view.rtt_ms;
  p.overhead_ms = learned.overhead_ms;
  p.wait_ms = view.wait_ms;
  p.slot_ms = e.slot_ms;
  p.prefill_ms = e.prefill_ms;
  p.ttft_ms = e.ttft_ms;
  p.uncertainty_ms = std::sqrt(std::max(
      0.0, learned.variance(backlog.tokens_ahead + request.prompt_tokens - e.cached_tokens)));
  p.tpot_ms = view.tpot_ms;
  p.finish_ms = e.finish_ms;
  p.barrier_ms = view.barrier_ms;
  p.excess_ms = e.excess_ms;
  p.price_ms = e.price_ms;
  p.backbone_ms = e.backbone_ms;
  p.score_ms = e.score_ms;
  p.cached_tokens = static_cast<std::uint32_t>(e.cached_tokens);
  p.queued_tokens = static_cast<std::uint64_t>(backlog.queued_tokens);
  p.rate_tokens_per_s = 1000 / view.ms_per_token;
  p.price_micros =
      static_cast<std::int64_t>(std::min(request.mtok * view.price_micros_per_mtok, 9e18));
  if (!candidate.local) {
    p.backbone_bytes = static_cast<std::uint64_t>(request.mib * kBytesPerMib);
  }
  p.slots_usable = candidate.slots_usable;
  return p;
}

double ttft_deviation_ms(const Candidate& candidate, const Prediction& prediction) {
  return std::sqrt(prediction.uncertainty_ms * prediction.uncertainty_ms +
                   candidate.prefill.noise_variance());
}

}  // namespace perigee
