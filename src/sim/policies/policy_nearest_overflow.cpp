// nearest_overflow: the nearest until it is full, then the next nearest; when all are full, the
// least full.
//
// Full: no slot is free, or saturated by the endpoint picker's rule of the Gateway API inference
// extension (llm-d), max(queue / 5, KV cache use / 0.8) >= 1 per engine.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kQueueFull = 5;
constexpr double kKvFull = 0.8;

class NearestOverflow final : public RankedPolicy {
 public:
  explicit NearestOverflow(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      const CandidateView& view = views[i];
      const double queue = static_cast<double>(view.load.queued_requests) / facts()[i].engines;
      const double slots = std::max(1U, facts()[i].slots);
      const double fullness =
          std::max({queue / kQueueFull, view.load.kv_used / kKvFull, known_requests(view) / slots});
      const double requests = requests_per_engine(facts()[i], view);
      ranks[i] = fullness < 1 ? Rank{.tier = 0, .cost = view.rtt_ms, .tie = requests}
                              : Rank{.tier = 1, .cost = fullness, .tie = view.rtt_ms};
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_nearest_overflow(const PolicyContext& context) {
  return std::make_unique<NearestOverflow>(context);
}

}  // namespace perigee::sim
