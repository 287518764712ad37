// skywalker: SkyWalker (EuroSys 2026, arXiv 2505.24095; sky/serve/load_balancer.py). Selective
// pushing: a replica is available while its engine has no pending request. Among available own
// ones, else among available peers, the cache_aware rule with threshold 0.5, imbalance 32 and
// 1.0001, tree 2^24 characters; when none is available the request waits at the site's balancer
// until an own engine has room. What a peer sent is not sent on.
//
// Its probes are every 100 ms; own engines are seen as they are, peers by their digests, in whose
// sum of pending requests fewer than it has engines mean that one has none. A request that waits
// stays at its site, where SkyWalker would also send it to a peer that becomes available; sites
// without engines send to the peer with the least pending. Left out: the pull variant. It knows no
// round trip beyond "own first".
#include "sim/policies/cache_aware.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr CacheAwareLimits kLimits{
    .threshold = 0.5, .absolute = 32, .relative = 1.0001, .tree_tokens_max = 4'194'304};
enum Tier : std::uint32_t { kOwn, kPeer, kOwnBusy, kPeerBusy };

class SkyWalker final : public RankedPolicy {
 public:
  explicit SkyWalker(const PolicyContext& context)
      : RankedPolicy(context), rule_(kLimits, context.candidates.size()) {}

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    bool available = false;
    bool own = false;
    for (std::size_t i = 0; i < views.size(); ++i) {
      const CandidateView& view = views[i];
      if (!view.allowed) continue;
      const bool free = view.load.queued_requests < facts()[i].engines;
      const double pending = static_cast<double>(view.load.queued_requests) / facts()[i].engines;
      available = available || free;
      own = own || facts()[i].local;
      ranks[i].tier = facts()[i].local ? (free ? kOwn : kOwnBusy) : (free ? kPeer : kPeerBusy);
      if (!free) ranks[i].cost = pending;
    }
    if (!available && own) pool();
    rule_.rank(kOwn, request, views, facts(), ranks);
    rule_.rank(kPeer, request, views, facts(), ranks);
  }
  void chosen(const RequestView& request, std::span<const CandidateView> views,
              std::uint32_t candidate) override {
    rule_.sent(request, views, candidate);
  }

  CacheAware rule_;
};

}  // namespace

std::unique_ptr<Policy> make_skywalker(const PolicyContext& context) {
  return std::make_unique<SkyWalker>(context);
}

}  // namespace perigee::sim
