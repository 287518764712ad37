// smg_cache_aware: the default policy of SMG, the SGLang model gateway (model_gateway/src/policies,
// cache_aware), with the defaults of its command line: threshold 0.3, imbalance 64 and 1.5, a tree
// of 2^26 characters (at 4 per token).
//
// The gateway counts its own requests because it sees all; here loads are digests and own counts,
// since other ingress sites send too. Left out: event mode, as no engine events cross sites, and
// the KV triggers, which are off by default. It knows no round trip.
#include "sim/policies/cache_aware.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr CacheAwareLimits kLimits{
    .threshold = 0.3, .absolute = 64, .relative = 1.5, .tree_tokens_max = 16'777'216};

class SmgCacheAware final : public RankedPolicy {
 public:
  explicit SmgCacheAware(const PolicyContext& context)
      : RankedPolicy(context), rule_(kLimits, context.candidates.size()) {}

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    rule_.rank(0, request, views, facts(), ranks);
  }
  void chosen(const RequestView& request, std::span<const CandidateView> views,
              std::uint32_t candidate) override {
    rule_.sent(request, views, candidate);
  }

  CacheAware rule_;
};

}  // namespace

std::unique_ptr<Policy> make_smg_cache_aware(const PolicyContext& context) {
  return std::make_unique<SmgCacheAware>(context);
}

}  // namespace perigee::sim
