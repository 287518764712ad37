// The cache_aware rule of the SGLang router (now SMG), used by smg_cache_aware and skywalker.
//
// Imbalanced (most - least requests > abs and most > rel * least): the least loaded. Else, if the
// best match is more than `threshold` of the prompt, the best matching candidate, else the one with
// the smallest prefix tree. A tree's size is counted in tokens that were new when sent there.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/policies/ranked_policy.h"

namespace perigee::sim {

struct CacheAwareLimits {
  double threshold;
  double absolute;
  double relative;
  double tree_tokens_max;
};

class CacheAware {
 public:
  CacheAware(const CacheAwareLimits& limits, std::size_t candidates)
      : limits_(limits), tree_tokens_(candidates) {}

  // Ranks the allowed candidates that stand in `tier`; the others stay as they are.
  void rank(std::uint32_t tier, const RequestView& request, std::span<const CandidateView> views,
            std::span<const CandidateFacts> facts, std::span<Rank> ranks) const;
  void sent(const RequestView& request, std::span<const CandidateView> views,
            std::uint32_t candidate);

 private:
  CacheAwareLimits limits_;
  std::vector<double> tree_tokens_;
};

}  // namespace perigee::sim
