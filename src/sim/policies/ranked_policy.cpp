#include "sim/policies/ranked_policy.h"

namespace perigee::sim {
namespace {

constexpr std::size_t kFallbacks = 3;
constexpr double kUnknownRate = 2'000;

}  // namespace

RankedPolicy::RankedPolicy(const PolicyContext& context)
    : facts_(context.candidates), random_(context.seed), ranks_(context.candidates.size()) {}

void RankedPolicy::choose(const RequestView& request, std::span<const CandidateView> views,
                          Instant now, Choice& choice) {
  choice.pooled = false;
  std::ranges::fill(ranks_, Rank{});
  pooled_ = false;
  rank(request, views, now, ranks_);
  std::uint32_t best = kNone;
  std::uint64_t equals = 0;
  for (std::uint32_t i = 0; i < views.size(); ++i) {
    if (!views[i].allowed) continue;
    if (best == kNone || ranks_[i] < ranks_[best]) {
      best = i;
      equals = 1;
    } else if (ranks_[i] == ranks_[best] && random_.below(++equals) == 0) {
      best = i;
    }
  }
  if (best == kNone) return;
  choice.add(best);
  choice.pooled = pooled_;
  std::array<std::uint32_t, kFallbacks> next{};
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < views.size(); ++i) {
    if (!views[i].allowed || i == best) continue;
    if (count == kFallbacks && !(ranks_[i] < ranks_[next[count - 1]])) continue;
    std::size_t at = count < kFallbacks ? count++ : count - 1;
    for (; at > 0 && ranks_[i] < ranks_[next[at - 1]]; --at) next[at] = next[at - 1];
    next[at] = i;
  }
  for (std::size_t i = 0; i < count; ++i) choice.add(next[i]);
  chosen(request, views, best);
}

std::uint32_t RankedPolicy::draw(std::span<const CandidateView> views, std::uint32_t except) {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < views.size(); ++i) {
    if (views[i].allowed && i != except) sum += facts_[i].engines;
  }
  if (sum == 0) return kNone;
  std::uint64_t at = random_.below(sum);
  for (std::uint32_t i = 0; i < views.size(); ++i) {
    if (!views[i].allowed || i == except) continue;
    if (at < facts_[i].engines) return i;
    at -= facts_[i].engines;
  }
  return kNone;
}

double prefill_rate(const CandidateFacts& facts, const CandidateView& view) {
  if (view.load.prefill_tokens_per_s > 0) return view.load.prefill_tokens_per_s;
  return facts.prefill_tokens_per_s > 0 ? facts.prefill_tokens_per_s : kUnknownRate;
}

}  // namespace perigee::sim
