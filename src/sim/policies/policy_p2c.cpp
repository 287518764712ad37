// p2c: the less loaded of two drawn at random (Mitzenmacher, "The power of two choices in
// randomized load balancing", 2001). Engines are drawn evenly, so a site by its engines; load is
// requests per engine.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

class TwoChoices final : public RankedPolicy {
 public:
  explicit TwoChoices(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      ranks[i] = {.tier = 1, .cost = requests_per_engine(facts()[i], views[i])};
    }
    const std::uint32_t first = draw(views);
    if (first == kNone) return;
    ranks[first].tier = 0;
    const std::uint32_t second = draw(views, first);
    if (second != kNone) ranks[second].tier = 0;
  }
};

}  // namespace

std::unique_ptr<Policy> make_p2c(const PolicyContext& context) {
  return std::make_unique<TwoChoices>(context);
}

}  // namespace perigee::sim
