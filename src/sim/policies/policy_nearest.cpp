// nearest: the shortest round trip, whatever the load, as anycast and geographic DNS send; among
// engines of one site the one with the fewest requests. Others serve only when it refuses or fails.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

class Nearest final : public RankedPolicy {
 public:
  explicit Nearest(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      ranks[i].cost = views[i].rtt_ms;
      ranks[i].tie = requests_per_engine(facts()[i], views[i]);
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_nearest(const PolicyContext& context) {
  return std::make_unique<Nearest>(context);
}

}  // namespace perigee::sim
