// Planner: from all candidates of a model to ordered attempts. Filters, predictions, then:
//   1 tiers    what is expected to miss the deadline, refused a moment ago, or (realtime) is on
//              probation, comes after all others
//   2 sticky   stay with the session's candidate, or where the cache is warm, while the predicted
//              loss is at most what the cache saves again next time, and the class's bound
//   3 equals   among near-equals one is drawn, so that many ingress sites with the same stale
//              reports do not all pick the same; a local one goes first (its load is no rumour)
//   4 explore  now and then an uncertain candidate that is not much worse
//   5 the rest best first, other sites before a site already tried
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/instant.h"
#include "base/random.h"
#include "base/result.h"
#include "core/candidate_table.h"
#include "core/predictor.h"
#include "core/prefix_table.h"
#include "core/router.h"

namespace perigee {

// Candidates are warm that hold at least this share of the best expected hit (llm-d's affinity
// threshold, there a share of the prompt).
inline constexpr double kWarmShare = 0.8;
// Near-equal: within 2 ms, the jitter of a link in one metro, and, once the best candidate reports
// work, within a tenth of the part that is a prediction (all but the round trip). While it is idle
// nobody else sends there and distance decides alone.
inline constexpr double kNearEqual_ms = 2;
inline constexpr double kNearEqualShare = 0.1;
// One plan in a hundred explores (llm-d's predictor: 1 %), and only candidates whose standard
// deviation is above this share of their predicted time.
inline constexpr double kExploreShare = 0.01;
inline constexpr double kExploreUncertainty = 0.2;

// Working memory of one decision, kept between decisions to spare allocations.
inline constexpr std::size_t kRejections = static_cast<std::size_t>(Rejection::Breaker) + 1;
struct PlanScratch {
  std::vector<Prediction> eligible;
  std::vector<Prediction> rejected;    // filled for explain only
  std::vector<double> costs;           // of `eligible`: what is compared within a tier
  std::vector<std::uint8_t> tiers;     // of `eligible`; lower is better
  std::vector<std::uint8_t> lawful;    // by jurisdiction number
  std::vector<std::uint32_t> matched;  // blocks, by slot; valid where `marks` says so
  std::vector<std::uint64_t> marks;    // by slot
  std::uint64_t mark = 0;
  std::array<std::uint32_t, kRejections> rejections{};  // by Rejection
};

struct PlanContext {
  const CandidateTable& candidates;
  const PrefixTable& prefixes;
  const RouterOptions& options;
};

// Blocks of `request` that `slot` was sent, after match_prefixes().
void match_prefixes(const PlanContext& context, const RouteRequest& request, Instant now,
                    PlanScratch& scratch);
std::uint32_t matched_tokens(const PlanContext& context, std::uint32_t slot,
                             const PlanScratch& scratch);

// Filters and predicts; `with_rejected` predicts the rejected too. False: the model is unknown.
bool predict_all(const PlanContext& context, const RouteRequest& request, Instant now,
                 bool with_rejected, PlanScratch& scratch);
// The attempts, from what predict_all() left in `scratch`; empty when nothing is eligible.
AttemptList choose(const PlanContext& context, const RouteRequest& request, Instant now,
                   Random& random, const PlanScratch& scratch);
// Why choose() had nothing to choose from.
Error why_none(const PlanContext& context, const RouteRequest& request, Instant now,
               bool model_known, const PlanScratch& scratch);

}  // namespace perigee
