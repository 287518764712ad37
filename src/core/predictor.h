// Predicts what an attempt at one candidate would take: every term of Prediction. Pure arithmetic
// on what the table holds; nothing is stored.
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "core/candidate_table.h"
#include "core/class_targets.h"
#include "core/router.h"

namespace perigee {

// After a refusal for load a candidate is a last resort until it reports, and for this long at
// most.
inline constexpr Duration kRefusalMemory = seconds{1};

// A request in the units of one model, the same for all its candidates.
struct RequestTerms {
  double prompt_tokens = 0;
  double output_tokens = 0;
  double token_scale = 1;
  ClassTargets targets{};
};
RequestTerms terms_of(const RouteRequest& request, const ModelEntry& model, Instant now);

// Published time per token, or the default.
double published_tpot_ms(const EngineLoad& load);

// `matched_tokens`: sent to this candidate before, as the request estimates tokens. Filters are not
// asked: `rejection` stays None.
Prediction predict(const Candidate& candidate, const RequestTerms& request,
                   std::uint32_t matched_tokens, Instant now);

}  // namespace perigee
