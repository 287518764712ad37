// llmd_blend: the scorers that the llm-d router configured by default until August 2026
// (pkg/epp/config/loader/defaults.go): the highest of
//   2 * (most - queue) / (most - least) + 2 * (1 - KV use) + 3 * matched / prompt
// with min and max of the queues over the candidates (1 when they are equal), ties at random.
// As published it reads metrics only and adds nothing of its own since; it knows no round trip.
#include <limits>

#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kQueueWeight = 2;
constexpr double kKvWeight = 2;
constexpr double kPrefixWeight = 3;

class LlmdBlend final : public RankedPolicy {
 public:
  explicit LlmdBlend(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  double queue(std::size_t i, const CandidateView& view) const {
    return static_cast<double>(view.load.queued_requests) / facts()[i].engines;
  }

  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    double least = std::numeric_limits<double>::max();
    double most = 0;
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (!views[i].allowed) continue;
      least = std::min(least, queue(i, views[i]));
      most = std::max(most, queue(i, views[i]));
    }
    for (std::size_t i = 0; i < views.size(); ++i) {
      const double short_queue = most > least ? (most - queue(i, views[i])) / (most - least) : 1;
      ranks[i].cost = -(kQueueWeight * short_queue + kKvWeight * (1 - views[i].load.kv_used) +
                        kPrefixWeight * hit_share(request, views[i]));
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_llmd_blend(const PolicyContext& context) {
  return std::make_unique<LlmdBlend>(context);
}

}  // namespace perigee::sim
