// oracle: the least true time to the last token: the engines' state as it is at this instant, the
// answer's true length, the network, and all requests of all sites that are still on their way.
// A bound where one request's choice costs others little. It is greedy: it neither sees what comes
// later nor counts what a choice costs others, so where caches are scarce (a prefill elsewhere
// slows all who run there) or all sites are overloaded, rules that stay with the cache can beat it.
#include <map>

#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

struct OnTheWay final : SharedState {
  struct Sent {
    Instant arrives;
    std::uint32_t tokens;
  };
  std::map<std::uint32_t, std::vector<Sent>> sites;
};

class Oracle final : public RankedPolicy {
 public:
  explicit Oracle(const PolicyContext& context) : RankedPolicy(context) {
    if (*context.shared == nullptr) *context.shared = std::make_shared<OnTheWay>();
    shared_ = std::static_pointer_cast<OnTheWay>(*context.shared);
    own_engines_ = static_cast<double>(std::ranges::count(facts(), true, &CandidateFacts::local));
  }

  AttemptTicket started(std::uint32_t candidate, const RequestView& request, Instant now) override {
    const CandidateFacts& to = facts()[candidate];
    if (to.rtt > Duration{}) {
      shared_->sites[to.site].push_back({now + to.rtt / 2, request.prompt_tokens});
    }
    return 0;
  }

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant now,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      const CandidateView& view = views[i];
      if (!view.allowed) continue;
      const double coming_ms =
          tokens_coming(facts()[i], now) * 1e3 / prefill_rate(facts()[i], view);
      ranks[i].cost = view.true_ttft_ms + coming_ms + request.output_tokens * view.true_tpot_ms;
      ranks[i].tie = view.rtt_ms;
    }
  }

  double tokens_coming(const CandidateFacts& to, Instant now) const {
    const auto found = shared_->sites.find(to.site);
    if (found == shared_->sites.end()) return 0;
    std::erase_if(found->second, [&](const OnTheWay::Sent& sent) { return sent.arrives <= now; });
    double tokens = 0;
    for (const OnTheWay::Sent& sent : found->second) tokens += sent.tokens;
    return to.local ? tokens / own_engines_ : tokens;
  }

  std::shared_ptr<OnTheWay> shared_;
  double own_engines_ = 0;
};

}  // namespace

std::unique_ptr<Policy> make_oracle(const PolicyContext& context) {
  return std::make_unique<Oracle>(context);
}

}  // namespace perigee::sim
