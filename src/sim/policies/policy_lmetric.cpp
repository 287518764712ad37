// lmetric: LMETRIC (arXiv 2603.15202), argmin of the product of two indicators, no parameters:
//   new prefill tokens there, were the request sent * batch size
// New prefill tokens are those that wait and the uncached of this prompt; the batch is what runs or
// waits, per engine. Where both are 0 it can't tell: then fewest tokens, then the nearer.
// Indicators are digests and own counts. It knows no round trip.
#include "sim/policies/uncached_tokens.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kTokensPerMs = 1e-6;  // so that a round trip only parts equal tokens

class Lmetric final : public TokenCountingPolicy {
 public:
  explicit Lmetric(const PolicyContext& context) : TokenCountingPolicy(context) {}

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::uint32_t i = 0; i < views.size(); ++i) {
      const double tokens =
          ahead(i, views[i]) / facts()[i].engines + uncached_prompt(request, views[i]);
      ranks[i].cost = tokens * requests_per_engine(facts()[i], views[i]);
      ranks[i].tie = tokens + kTokensPerMs * views[i].rtt_ms;
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_lmetric(const PolicyContext& context) {
  return std::make_unique<Lmetric>(context);
}

}  // namespace perigee::sim
