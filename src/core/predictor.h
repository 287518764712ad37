// Predicts what an attempt at one candidate would take: every term of Prediction. Pure arithmetic
// on what the table holds; nothing is stored.
//
// A decision compares Estimates, a dozen additions and products per candidate; a whole Prediction
// is made only of those that it names. Both come from estimate(), so they agree to the last bit.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/instant.h"
#include "core/candidate_table.h"
#include "core/class_targets.h"
#include "core/router.h"

namespace perigee {

// After a refusal for load a candidate is a last resort until it reports, and for this long at
// most.
inline constexpr Duration kRefusalMemory = seconds{1};
// Bytes over the backbone where the request does not say: text of the prompt (four per token), and
// what frames a token of an answer in a stream of chat.completion.chunk events.
inline constexpr double kBytesPerPromptToken = 4;
inline constexpr double kBytesPerOutputToken = 256;

// A request in the units of one model, the same for all its candidates.
struct RequestTerms {
  double prompt_tokens = 0;
  double output_tokens = 0;  // of one answer
  double token_scale = 1;
  double block_tokens = 0;  // of a matched prefix block, in the model's tokens
  double mtok = 0;          // million tokens charged
  double price_ms_per_micro = 0;
  double mib = 0;  // over a backbone
  ClassTargets targets{};
  ServiceClass service_class = ServiceClass::Standard;
};
RequestTerms terms_of(const RouteRequest& request, const ModelEntry& model,
                      const RouterOptions& options, Instant now);

// Published time per token, or the default.
double published_tpot_ms(const EngineLoad& load);

// What a time per token is expected to be over `pace_ms`, when it is normal round `tpot_ms`:
// batches come and go while an answer is written, and one observation deviates by
// kTpotFactor.noise. A site just within the pace is not as good as one far within.
double expected_excess_ms(double tpot_ms, double pace_ms);

struct Estimate {
  double cached_tokens;
  double slot_ms;
  double prefill_ms;
  double ttft_ms;
  double excess_ms;
  double time_ms;  // ttft + barrier + excess
  double price_ms;
  double backbone_ms;
  double score_ms;  // time + price + backbone
  double finish_ms;
};

// `matched_blocks`: of the prompt's beginning, expected in its cache.
inline Estimate estimate(const CandidateView& view, const RequestTerms& request,
                         std::uint32_t matched_blocks) {
  Estimate e;
  e.cached_tokens = 0;
  if (matched_blocks > 0) {  // the last token is always computed
    e.cached_tokens = std::min(matched_blocks * request.block_tokens * view.cache_yield,
                               request.prompt_tokens - 1);
  }
  // Slots free one by one as streams end; prefill runs meanwhile.
  e.slot_ms = std::max(0.0, request.output_tokens * view.slot_ms_per_output - view.wait_ms);
  e.prefill_ms = (request.prompt_tokens - e.cached_tokens) * view.ms_per_token;
  e.ttft_ms = view.ready_ms + e.slot_ms + e.prefill_ms;
  e.excess_ms = request.output_tokens *
                view.excess_per_output[static_cast<std::size_t>(request.service_class)];
  e.time_ms = e.ttft_ms + view.barrier_ms + e.excess_ms;
  e.price_ms = request.mtok * view.price_micros_per_mtok * request.price_ms_per_micro;
  e.backbone_ms = request.mib * view.backbone_ms_per_mib;
  e.score_ms = e.time_ms + e.price_ms + e.backbone_ms;
  e.finish_ms = e.ttft_ms + request.output_tokens * view.tpot_ms;
  return e;
}

// Filters are not asked: `rejection` stays None.
Prediction predict(const Candidate& candidate, const CandidateView& view,
                   const RequestTerms& request, std::uint32_t matched_blocks, Instant now);
// Standard deviation of one time to first token there: of what was learned, and of single requests.
double ttft_deviation_ms(const Candidate& candidate, const Prediction& prediction);

}  // namespace perigee
