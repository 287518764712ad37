// gorgo: GORGO (arXiv 2602.11688), argmin of
//   RTT + t_p * (queued + q * running) + t_p * (prompt - match)
// in ms, of tokens queued and running, with t_p = 0.094 ms per token and q = 1.0 as its code has
// them (its README says q = 0.5). t_p is one constant for the fleet, as there.
//
// This is the form of its central proxy, which knows all queues: it did 2.5 times better than the
// distributed one, which has none of its peers' queues; here digests bring them. Not repeated: its
// charge of a whole prefill on a full match, and its estimate of 4 characters per token.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kPrefillMsPerToken = 0.094;
constexpr double kRunningWeight = 1.0;

class Gorgo final : public RankedPolicy {
 public:
  explicit Gorgo(const PolicyContext& context) : RankedPolicy(context) {}

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      const CandidateView& view = views[i];
      const double engines = facts()[i].engines;
      const double queued = static_cast<double>(view.load.queued_tokens + view.new_tokens);
      const double running = view.load.kv_used * static_cast<double>(facts()[i].kv_tokens);
      ranks[i].cost =
          view.rtt_ms + kPrefillMsPerToken * ((queued + kRunningWeight * running) / engines +
                                              uncached_prompt(request, view));
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_gorgo(const PolicyContext& context) {
  return std::make_unique<Gorgo>(context);
}

}  // namespace perigee::sim
