#include "sim/policies/uncached_tokens.h"

namespace perigee::sim {

void UncachedTokens::remember(const RequestView& request, std::span<const CandidateView> views) {
  request_ = request.id;
  for (std::size_t i = 0; i < views.size(); ++i) cached_[i] = views[i].cached_tokens;
}

AttemptTicket UncachedTokens::started(std::uint32_t candidate, const RequestView& request) {
  const std::uint32_t cached = request.id == request_ ? cached_[candidate] : 0;
  const std::uint32_t tokens = request.prompt_tokens - std::min(cached, request.prompt_tokens);
  waiting_[candidate] += tokens;
  return tokens;
}

double UncachedTokens::ahead(std::uint32_t candidate, const CandidateView& view) const {
  double unreported = static_cast<double>(view.new_tokens);
  if (view.own_waiting_tokens > 0) {
    unreported *= std::min(1.0, static_cast<double>(waiting_[candidate]) /
                                    static_cast<double>(view.own_waiting_tokens));
  }
  return static_cast<double>(view.load.queued_tokens) + unreported;
}

}  // namespace perigee::sim
