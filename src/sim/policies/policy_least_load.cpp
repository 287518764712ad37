// least_load: join the shortest queue (Winston 1977; least_conn, least_request of every proxy):
// fewest requests that run or wait per engine, from digests and own counts, the nearer of equals.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

class LeastLoad final : public RankedPolicy {
 public:
  explicit LeastLoad(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      ranks[i].cost = requests_per_engine(facts()[i], views[i]);
      ranks[i].tie = views[i].rtt_ms;
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_least_load(const PolicyContext& context) {
  return std::make_unique<LeastLoad>(context);
}

}  // namespace perigee::sim
