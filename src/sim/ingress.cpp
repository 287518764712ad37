#include "sim/ingress.h"

#include <algorithm>

namespace perigee::sim {
namespace {

constexpr std::uint32_t kAttemptsMax = 1U << 20;

}  // namespace

Ingress::Ingress(std::vector<CandidateFacts> facts, const PolicyTraits& traits,
                 std::uint32_t prefix_blocks_max, std::uint32_t block_tokens, std::uint64_t seed)
    : tracks(facts.size()),
      facts_(std::move(facts)),
      traits_(traits),
      block_tokens_(block_tokens),
      local_count_(
          static_cast<std::size_t>(std::ranges::count(facts_, true, &CandidateFacts::local))) {
  if (!traits.views) return;
  views_.resize(facts_.size());
  counters_.resize(facts_.size());
  attempts_ = std::make_unique<InFlightTable>(kAttemptsMax);
  if (traits.prefixes) prefixes_ = std::make_unique<PrefixTable>(prefix_blocks_max, seed);
  for (std::size_t i = 0; i < facts_.size(); ++i) views_[i].rtt_ms = to_ms(facts_[i].rtt);
}

void Ingress::hear(std::uint32_t candidate, const EngineLoad& load, bool healthy, Nanos reported,
                   Nanos now) {
  tracks[candidate].healthy = healthy;
  tracks[candidate].known = true;
  policy_->digest(candidate, load, healthy, instant(reported), instant(now));
  if (!traits_.views) return;
  CandidateView& view = views_[candidate];
  view.heard = true;
  if (instant(reported) < view.reported) return;
  view.load = load;
  view.reported = instant(reported);
  attempts_->report(counters_[candidate], view.reported);
}

void Ingress::set_healthy(std::uint32_t candidate, bool healthy, Nanos now) {
  Track& track = tracks[candidate];
  if (track.healthy == healthy) return;
  track.healthy = healthy;
  static constexpr EngineLoad kNothing{};
  const EngineLoad& load = traits_.views ? views_[candidate].load : kNothing;
  policy_->digest(candidate, load, healthy, instant(track.heard), instant(now));
}

void Ingress::match_prefixes(const RequestView& request, Nanos now) {
  matched_.assign(facts_.size(), 0);
  for (std::uint32_t depth = 0; depth < request.prefix_blocks.size(); ++depth) {
    bool deeper = false;
    prefixes_->for_each_holder(request.prefix_blocks[depth], instant(now),
                               [&](const PrefixTable::Holder& holder) {
                                 if (matched_[holder.candidate] != depth) return;
                                 matched_[holder.candidate] = depth + 1;
                                 deeper = true;
                               });
    if (!deeper) break;
  }
}

std::span<CandidateView> Ingress::views(const RequestView& request, Nanos now) {
  if (!traits_.views) return {};
  if (traits_.prefixes) match_prefixes(request, now);
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    CandidateView& view = views_[i];
    const CandidateFacts& facts = facts_[i];
    view.allowed = tracks[i].healthy && (facts.local || !request.local_only) &&
                   (request.jurisdictions.empty() ||
                    std::ranges::find(request.jurisdictions, facts.jurisdiction) !=
                        request.jurisdictions.end());
    view.new_requests = counters_[i].unseen_requests;
    view.new_tokens = counters_[i].unseen_tokens;
    if (traits_.prefixes) {
      view.cached_tokens = std::min(matched_[i] * block_tokens_, request.prompt_tokens - 1);
    }
  }
  return views_;
}

Ingress::Ticket Ingress::started(std::uint32_t candidate, const RequestView& request, Nanos now) {
  Ticket ticket;
  ticket.policy = policy_->started(candidate, request, instant(now));
  if (!traits_.views) return ticket;
  CandidateView& view = views_[candidate];
  ++view.own_requests;
  ++view.own_waiting;
  view.own_tokens += request.prompt_tokens;
  view.own_waiting_tokens += request.prompt_tokens;
  AttemptRecord record;
  record.candidate = candidate;
  record.tokens = request.prompt_tokens;
  ticket.own =
      attempts_->start(record, counters_[candidate], facts_[candidate].rtt / 2, instant(now));
  if (traits_.prefixes) prefixes_->insert(request.prefix_blocks, candidate, instant(now));
  return ticket;
}

void Ingress::first_token(const Ticket& ticket, std::uint32_t candidate,
                          std::uint32_t prompt_tokens, const EngineLoad* load, Nanos reported,
                          Nanos now) {
  policy_->first_token(ticket.policy, candidate, load, instant(reported), instant(now));
  if (!traits_.views) return;
  CandidateView& view = views_[candidate];
  --view.own_waiting;
  view.own_waiting_tokens -= prompt_tokens;
  attempts_->prefilled(ticket.own, &counters_[candidate], instant(now));
}

void Ingress::finished(const Ticket& ticket, std::uint32_t candidate, std::uint32_t prompt_tokens,
                       bool had_first_token, const AttemptOutcome& outcome, const EngineLoad* load,
                       Nanos reported, Nanos now) {
  policy_->finished(ticket.policy, candidate, outcome, load, instant(reported), instant(now));
  if (!traits_.views) return;
  CandidateView& view = views_[candidate];
  --view.own_requests;
  view.own_tokens -= prompt_tokens;
  if (!had_first_token) {
    --view.own_waiting;
    view.own_waiting_tokens -= prompt_tokens;
  }
  attempts_->end(ticket.own, &counters_[candidate], instant(now));
}

}  // namespace perigee::sim
