// llmd_sticky: "sticky until saturated", llm-d's default since August 2026. Among candidates that
// hold at least 0.8 of the prompt, else among all, the least of
//   uncached tokens in flight + prompt * (1 - hit)
// unless the best warm one would begin T_max later than the best cold one, where a candidate begins
// after (uncached tokens in flight) / R_peak; so tau = R_peak * T_max tokens.
//
// R_peak is one calibration, tokens of a full batch over its time; here that of the candidate's own
// hardware, and tokens are compared as times, which is the same for one kind of GPU. T_max is the
// operator's: the time to first token that the request's class may take (llm-d ships 18 s, too much
// for any class here but batch). In flight: digests and own since. It knows no round trip.
#include <limits>

#include "core/class_targets.h"
#include "sim/policies/uncached_tokens.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kAffinity = 0.8;

class LlmdSticky final : public TokenCountingPolicy {
 public:
  explicit LlmdSticky(const PolicyContext& context) : TokenCountingPolicy(context) {}

 private:
  double ms_per_token(std::uint32_t i, const CandidateView& view) const {
    const double peak = facts()[i].prefill_tokens_per_s;
    return 1e3 / (peak > 0 ? peak : prefill_rate(facts()[i], view));
  }

  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    constexpr double kNever = std::numeric_limits<double>::max();
    double warm_ms = kNever;
    double cold_ms = kNever;
    for (std::uint32_t i = 0; i < views.size(); ++i) {
      if (!views[i].allowed) continue;
      const double begins = ahead(i, views[i]) * ms_per_token(i, views[i]);
      const bool warm = hit_share(request, views[i]) >= kAffinity;
      (warm ? warm_ms : cold_ms) = std::min(warm ? warm_ms : cold_ms, begins);
    }
    const double loss_max = targets_of(request.service_class).ttft_ms;
    const bool sticky = warm_ms < kNever && (cold_ms == kNever || warm_ms - cold_ms <= loss_max);
    for (std::uint32_t i = 0; i < views.size(); ++i) {
      const bool warm = hit_share(request, views[i]) >= kAffinity;
      const double tokens =
          ahead(i, views[i]) + uncached_prompt(request, views[i]) * facts()[i].engines;
      ranks[i] = {.tier = sticky && !warm ? 1U : 0U, .cost = tokens * ms_per_token(i, views[i])};
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_llmd_sticky(const PolicyContext& context) {
  return std::make_unique<LlmdSticky>(context);
}

}  // namespace perigee::sim
