// round_robin and central_round_robin: every engine in turn.
//
// Source: smooth weighted round robin as in nginx (upstream round robin, 2012): every decision adds
// each candidate's weight to its counter, takes the highest, and takes the sum of weights off it.
// A site weighs as many as it has engines. Each ingress begins elsewhere.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

class RoundRobin final : public RankedPolicy {
 public:
  explicit RoundRobin(const PolicyContext& context) : RankedPolicy(context) {
    for (const CandidateFacts& candidate : facts()) {
      counters_.push_back(random().uniform() * candidate.engines);
    }
  }

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    sum_ = 0;
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (!views[i].allowed) continue;
      counters_[i] += facts()[i].engines;
      sum_ += facts()[i].engines;
      ranks[i].cost = -counters_[i];
    }
  }
  void chosen(const RequestView& /*request*/, std::span<const CandidateView> /*views*/,
              std::uint32_t candidate) override {
    counters_[candidate] -= sum_;
  }

  std::vector<double> counters_;
  double sum_ = 0;
};

}  // namespace

std::unique_ptr<Policy> make_round_robin(const PolicyContext& context) {
  return std::make_unique<RoundRobin>(context);
}

}  // namespace perigee::sim
