// central_pooled: all engines stand at one site and take from one queue, first come, first served:
// the pooled centre (an M/G/c queue), the strongest form of a single cluster without caches.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

class CentralPooled final : public RankedPolicy {
 public:
  explicit CentralPooled(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      ranks[i] = {.tier = facts()[i].local ? 0U : 1U,
                  .cost = requests_per_engine(facts()[i], views[i])};
      if (facts()[i].local && views[i].allowed) pool();
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_central_pooled(const PolicyContext& context) {
  return std::make_unique<CentralPooled>(context);
}

}  // namespace perigee::sim
