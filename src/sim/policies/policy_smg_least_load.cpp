// smg_least_load: SMG's newest policy (model_gateway/src/policies, least_load):
//   score = (queued tokens + own tokens since the poll) / throughput + lambda * k / (1 - k)
// in seconds, lambda 0.15 s, k the KV cache use, throughput 2,000 tokens/s when unknown; the whole
// fleet dark: fewest own requests. Its poll is every 10 s; digests are newer. It knows neither
// caches nor round trips.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kBarrierS = 0.15;
constexpr double kKvMost = 0.99;

class SmgLeastLoad final : public RankedPolicy {
 public:
  explicit SmgLeastLoad(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& /*request*/, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    const bool dark = std::ranges::none_of(
        views, [](const CandidateView& view) { return view.allowed && view.heard; });
    for (std::size_t i = 0; i < views.size(); ++i) {
      const CandidateView& view = views[i];
      if (dark) {
        ranks[i].cost = static_cast<double>(view.own_requests) / facts()[i].engines;
        continue;
      }
      const double tokens = static_cast<double>(view.load.queued_tokens + view.new_tokens);
      const double k = std::min(view.load.kv_used, kKvMost);
      ranks[i].cost = tokens / prefill_rate(facts()[i], view) + kBarrierS * k / (1 - k);
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_smg_least_load(const PolicyContext& context) {
  return std::make_unique<SmgLeastLoad>(context);
}

}  // namespace perigee::sim
