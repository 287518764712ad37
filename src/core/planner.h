// Planner: from all candidates of a model to ordered attempts. Filters, predictions, then:
//   1 tiers    what is expected to miss the deadline, refused a moment ago, is on probation
//              (realtime), or whose time is over the class's target (where money is weighed: price
//              and backbone may choose among what is in time, not against it), comes after all
//              others
//   2 sticky   stay with the session's candidate, or where the cache is warm, while the predicted
//              loss is at most what the cache saves again next time, and the class's bound
//   3 equals   among near-equals one is drawn, so that many ingress sites with the same stale
//              reports do not all pick the same; a local one goes first (its load is no rumour)
//   4 explore  now and then an uncertain candidate that is not much worse
//   5 the rest best first, other sites before a site already tried
//   6 hedge    for realtime, when a second attempt beside the first would pay
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
inline constexpr double kExploreLoss = 0.1;  // of the class's time to first token

// A realtime plan is hedged when the first token is later than 95 of 100 predicted ones, so one in
// twenty is doubled (Dean and Barroso, The Tail at Scale, 2013); when the second attempt then still
// meets the target in 95 of 100; and when it goes where at most half of the slots are busy: beyond
// some 25 to 50 % of load, doubled work costs more than it saves (Vulimiri et al., 2013).
inline constexpr double kHedgeDeviations = 1.645;  // 95 % of a normal distribution are below
inline constexpr double kHedgeLoadMost = 0.5;

// One candidate that passed the filters.
struct Considered {
  double cost = 0;  // what is compared within a tier: the score, or when late the time of the end
  double score_ms = 0;
  double time_ms = 0;  // the score without price and backbone
  std::uint32_t slot = 0;
  std::uint32_t matched_blocks = 0;
  float cached_tokens = 0;
  std::uint8_t tier = 0;  // lower is better
};

struct Rejected {
  std::uint32_t slot = 0;
  Rejection rejection = Rejection::None;
};

// Working memory of one decision, kept between decisions to spare allocations.
inline constexpr std::size_t kRejections = static_cast<std::size_t>(Rejection::Breaker) + 1;
struct PlanScratch {
  std::vector<Considered> eligible;
  std::vector<std::uint32_t> warm;     // positions in `eligible` with cached tokens
  std::vector<Rejected> rejected;      // filled for explain only
  std::vector<std::uint8_t> lawful;    // by jurisdiction number
  std::vector<std::uint32_t> matched;  // blocks sent there, by slot; valid where `marks` says so
  std::vector<std::uint64_t> marks;    // by slot
  std::uint64_t mark = 0;
  RequestTerms terms;
  std::array<std::uint32_t, kRejections> rejections{};  // by Rejection
};

struct PlanContext {
  const CandidateTable& candidates;
  const PrefixTable& prefixes;
  const RouterOptions& options;
};

// Finds who was sent which beginning of the prompt; matched_blocks() then answers for each slot:
// that, or what the site's own filter holds, whichever is longer.
void match_prefixes(const PlanContext& context, const RouteRequest& request, Instant now,
                    PlanScratch& scratch);
std::uint32_t matched_blocks(const CandidateView& view, std::uint32_t slot,
                             const RouteRequest& request, const PlanScratch& scratch);

// Filters and estimates; `with_rejected` lists the rejected too. False: the model is unknown.
bool consider_all(const PlanContext& context, const RouteRequest& request, Instant now,
                  bool with_rejected, PlanScratch& scratch);
// The plan, from what consider_all() left in `scratch`; no attempts when nothing is eligible.
RoutePlan choose(const PlanContext& context, const RouteRequest& request, Instant now,
                 Random& random, const PlanScratch& scratch);
// Why choose() had nothing to choose from.
Error why_none(const PlanContext& context, const RouteRequest& request, Instant now,
               bool model_known, const PlanScratch& scratch);

}  // namespace perigee
