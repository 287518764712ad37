#include "sim/policies/cache_aware.h"

#include <limits>

namespace perigee::sim {

void CacheAware::rank(std::uint32_t tier, const RequestView& request,
                      std::span<const CandidateView> views, std::span<const CandidateFacts> facts,
                      std::span<Rank> ranks) const {
  double least = std::numeric_limits<double>::max();
  double most = 0;
  double match = 0;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!views[i].allowed || ranks[i].tier != tier) continue;
    const double load = requests_per_engine(facts[i], views[i]);
    least = std::min(least, load);
    most = std::max(most, load);
    match = std::max(match, hit_share(request, views[i]));
  }
  const bool imbalanced = most - least > limits_.absolute && most > limits_.relative * least;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!views[i].allowed || ranks[i].tier != tier) continue;
    const double load = requests_per_engine(facts[i], views[i]);
    if (imbalanced) {
      ranks[i].cost = load;
    } else if (match > limits_.threshold) {
      ranks[i].cost = -hit_share(request, views[i]);
      ranks[i].tie = load;
    } else {
      ranks[i].cost = tree_tokens_[i] / facts[i].engines;
    }
  }
}

void CacheAware::sent(const RequestView& request, std::span<const CandidateView> views,
                      std::uint32_t candidate) {
  double& tokens = tree_tokens_[candidate];
  tokens = std::min(tokens + uncached_prompt(request, views[candidate]), limits_.tree_tokens_max);
}

}  // namespace perigee::sim
