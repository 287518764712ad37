// prequal: the hot-cold lexicographic rule of Prequal (Wydrowski et al., NSDI 2024, arXiv
// 2312.10172). A candidate is hot when its requests in flight (RIF) exceed the Q quantile of those
// in the probe pool, Q = 2^-0.25; of the cold ones the least latency, if all are hot the least RIF.
// Pool: the 16 newest probes, none older than 1 s; with fewer than 2 the choice is random.
//
// Here: digests are the probes, so none is paid for and none needs removal by reuse; requests sent
// since are added to a probe's RIF, as Prequal's compensation does. What a server would have
// measured as latency at its RIF follows from its report: the queued tokens and this prompt at its
// rate, then an answer of mean length at its pace. Latency holds no round trip: it was built for
// one data centre.
#include "sim/policies/ranked_policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kQuantile = 0.8409;
constexpr std::size_t kPool = 16;
constexpr std::size_t kPoolLeast = 2;
constexpr Duration kProbeAge = seconds{1};
constexpr double kFirstOutputTokens = 200;
constexpr double kLearning = 0.01;

class Prequal final : public RankedPolicy {
 public:
  explicit Prequal(const PolicyContext& context) : RankedPolicy(context) {
    pool_.reserve(context.candidates.size());
    rifs_.reserve(kPool);
  }

  void finished(AttemptTicket /*ticket*/, std::uint32_t /*candidate*/,
                const AttemptOutcome& outcome, const EngineLoad* /*load*/, Instant /*reported*/,
                Instant /*now*/) override {
    if (outcome.kind != AttemptOutcome::Kind::Served) return;
    output_tokens_ += kLearning * (outcome.usage.completion_tokens - output_tokens_);
  }

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant now,
            std::span<Rank> ranks) override {
    for (std::size_t i = 0; i < views.size(); ++i) {
      ranks[i] = {.tier = 2, .cost = requests_per_engine(facts()[i], views[i])};
    }
    fill_pool(views, now);
    if (pool_.size() < kPoolLeast) {
      if (const std::uint32_t drawn = draw(views); drawn != kNone) ranks[drawn].tier = 0;
      return;
    }
    const double hot = quantile(views);
    for (const std::uint32_t i : pool_) {
      const double rif = requests_per_engine(facts()[i], views[i]);
      ranks[i] = rif > hot ? Rank{.tier = 1, .cost = rif}
                           : Rank{.tier = 0, .cost = latency_ms(request, i, views[i])};
    }
  }

  void fill_pool(std::span<const CandidateView> views, Instant now) {
    pool_.clear();
    for (std::uint32_t i = 0; i < views.size(); ++i) {
      if (views[i].allowed && views[i].heard) pool_.push_back(i);
    }
    const std::size_t size = std::min(pool_.size(), kPool);
    std::ranges::partial_sort(pool_, pool_.begin() + static_cast<std::ptrdiff_t>(size),
                              [&](std::uint32_t a, std::uint32_t b) {
                                if (views[a].reported != views[b].reported) {
                                  return views[a].reported > views[b].reported;
                                }
                                return a < b;
                              });
    pool_.resize(size);
    while (!pool_.empty() && now - views[pool_.back()].reported > kProbeAge) {
      pool_.pop_back();
    }
  }

  double quantile(std::span<const CandidateView> views) {
    rifs_.clear();
    for (const std::uint32_t i : pool_) rifs_.push_back(requests_per_engine(facts()[i], views[i]));
    std::ranges::sort(rifs_);
    const double at = kQuantile * static_cast<double>(rifs_.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, rifs_.size() - 1);
    return rifs_[below] + (at - static_cast<double>(below)) * (rifs_[above] - rifs_[below]);
  }

  double latency_ms(const RequestView& request, std::uint32_t i, const CandidateView& view) const {
    const double pace = view.load.decode_ms > 0 ? view.load.decode_ms : facts()[i].decode_base_ms;
    const double tokens =
        static_cast<double>(view.load.queued_tokens + view.new_tokens) / facts()[i].engines +
        request.prompt_tokens;
    return tokens * 1e3 * facts()[i].engines / prefill_rate(facts()[i], view) +
           pace * output_tokens_;
  }

  std::vector<std::uint32_t> pool_;
  std::vector<double> rifs_;
  double output_tokens_ = kFirstOutputTokens;
};

}  // namespace

std::unique_ptr<Policy> make_prequal(const PolicyContext& context) {
  return std::make_unique<Prequal>(context);
}

}  // namespace perigee::sim
