#include "core/planner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "core/session_key.h"

namespace perigee {
namespace {

constexpr std::uint8_t kTierProbation = 1;
constexpr std::uint8_t kTierRefusing = 2;
constexpr std::uint8_t kTierLate = 4;

Rejection reject(const Candidate& candidate, const RouteRequest& request,
                 const PlanScratch& scratch, Instant now) {
  if (!request.jurisdictions.empty() && scratch.lawful[candidate.jurisdiction] == 0) {
    return Rejection::Jurisdiction;
  }
  if (request.local_only && !candidate.local) return Rejection::Forwarded;
  if (candidate.drained) return Rejection::Drained;
  if (!candidate.healthy) return Rejection::Unhealthy;
  if (!candidate.breaker.admits(now)) return Rejection::Breaker;
  return Rejection::None;
}

std::uint8_t tier_of(const Prediction& prediction, const RouteRequest& request, Instant now) {
  std::uint8_t tier = 0;
  if (prediction.breaker == BreakerState::HalfOpen &&
      request.service_class == ServiceClass::Realtime) {
    tier |= kTierProbation;
  }
  if (prediction.refusing) tier |= kTierRefusing;
  if (request.deadline && to_ms(*request.deadline - now) < prediction.finish_ms) tier |= kTierLate;
  return tier;
}

// What is compared within a tier: the score, or when late the time of the end.
double cost_of(const Prediction& prediction, std::uint8_t tier) {
  return (tier & kTierLate) != 0 ? prediction.finish_ms : prediction.score_ms;
}

// One decision over `eligible`.
class Choice {
 public:
  Choice(const PlanContext& context, const RouteRequest& request, Instant now, Random& random,
         const PlanScratch& scratch)
      : context_(context),
        request_(request),
        now_(now),
        random_(random),
        eligible_(scratch.eligible),
        costs_(scratch.costs),
        tiers_(scratch.tiers),
        targets_(targets_of(request.service_class)) {}

  AttemptList run();

 private:
  using Position = std::size_t;
  static constexpr Position kNone = static_cast<Position>(-1);

  const Candidate& candidate(Position i) const {
    return context_.candidates.at(CandidateTable::slot_of(eligible_[i].candidate));
  }
  bool before(Position a, Position b) const {
    if (tiers_[a] != tiers_[b]) return tiers_[a] < tiers_[b];
    return costs_[a] < costs_[b];
  }
  // How much worse than `than`, of the same tier.
  double loss(Position i, Position than) const { return costs_[i] - costs_[than]; }
  template <class Among>
  Position best(Among among) const;
  template <class Among>
  Position draw_near_equal(Position best, Among among);
  Position session_holder() const;
  std::optional<Position> sticky();
  std::optional<Position> explore(Position chosen);
  void first(Position chosen, std::string_view reason);
  std::string_view reason_for(Position chosen) const;
  void fill_rest();

  const PlanContext& context_;
  const RouteRequest& request_;
  Instant now_;
  Random& random_;
  const std::vector<Prediction>& eligible_;
  const std::vector<double>& costs_;
  const std::vector<std::uint8_t>& tiers_;
  ClassTargets targets_;
  AttemptList attempts_;
  std::array<Position, AttemptList::kMax> taken_{};
  Position best_ = 0;
};

template <class Among>
Choice::Position Choice::best(Among among) const {
  Position found = kNone;
  for (Position i = 0; i < eligible_.size(); ++i) {
    if (among(i) && (found == kNone || before(i, found))) found = i;
  }
  return found;
}

// Draws with weight exp(-difference / margin) among those within the margin of `best`.
template <class Among>
Choice::Position Choice::draw_near_equal(Position best, Among among) {
  const Prediction& lead = eligible_[best];
  const EngineLoad& load = candidate(best).load;
  const bool idle = load.slots > 0 && load.slots_busy == 0 && load.queued_requests == 0;
  const double margin =
      kNearEqual_ms + (idle ? 0 : kNearEqualShare * std::max(0.0, lead.score_ms - lead.rtt_ms));
  const auto near = [&](Position i) {
    return loss(i, best) <= margin && tiers_[i] == tiers_[best] && among(i);
  };
  bool local = false;  // once one is found, only local ones count
  double total = 0;
  Position drawn = best;
  for (Position i = 0; i < eligible_.size(); ++i) {
    if (!near(i)) continue;
    const bool here = candidate(i).local;
    if (local && !here) continue;
    if (here && !local) {
      local = true;
      total = 0;
    }
    const double weight = std::exp(-loss(i, best) / margin);
    total += weight;  // drawn with chance weight / total, and so kept with what remains
    if (total == weight || random_.uniform() * total < weight) drawn = i;
  }
  return drawn;
}

Choice::Position Choice::session_holder() const {
  if (request_.session == 0) return kNone;
  PrefixTable::Holder newest;
  context_.prefixes.for_each_holder(session_key(request_.session), now_,
                                    [&](const PrefixTable::Holder& holder) {
                                      if (holder.touched > newest.touched) newest = holder;
                                    });
  if (newest.touched == 0) return kNone;
  return best([&](Position i) { return eligible_[i].candidate == newest.candidate; });
}

// Where to stay, if the loss is bearable: at the session's last candidate, else where it is warm.
std::optional<Choice::Position> Choice::sticky() {
  const auto bearable = [&](Position i, double saved_tokens) {
    const double rate =
        std::max(eligible_[i].rate_tokens_per_s, eligible_[best_].rate_tokens_per_s);
    const double saved_ms = saved_tokens * 1000 / rate;
    return tiers_[i] == tiers_[best_] && eligible_[i].score_ms - eligible_[best_].score_ms <=
                                             std::min(targets_.sticky_loss_ms, saved_ms);
  };
  const Position holder = session_holder();
  if (holder != kNone && bearable(holder, request_.prompt_tokens)) {
    first(holder, "session");
    return holder;
  }
  std::uint32_t most = 0;
  for (Position i = 0; i < eligible_.size(); ++i) {
    if (tiers_[i] == tiers_[best_]) most = std::max(most, eligible_[i].cached_tokens);
  }
  if (most == 0) return std::nullopt;
  const auto warm = [&](Position i) {
    return eligible_[i].cached_tokens >= kWarmShare * most &&
           bearable(i, eligible_[i].cached_tokens);
  };
  const Position warmest = best(warm);
  if (warmest == kNone) return std::nullopt;
  const Position drawn = draw_near_equal(warmest, warm);
  first(drawn, "warm_cache");
  return drawn;
}

std::optional<Choice::Position> Choice::explore(Position chosen) {
  if (request_.service_class == ServiceClass::Realtime || request_.deadline ||
      eligible_.size() < 2 || random_.uniform() >= kExploreShare) {
    return std::nullopt;
  }
  const auto worthy = [&](Position i) {
    const Prediction& p = eligible_[i];
    return i != chosen && tiers_[i] == tiers_[chosen] &&
           p.uncertainty_ms > kExploreUncertainty * p.ttft_ms &&
           loss(i, best_) <= targets_.sticky_loss_ms;
  };
  std::size_t count = 0;
  for (Position i = 0; i < eligible_.size(); ++i) count += worthy(i) ? 1U : 0U;
  if (count == 0) return std::nullopt;
  std::uint64_t skip = random_.below(count);
  for (Position i = 0; i < eligible_.size(); ++i) {
    if (worthy(i) && skip-- == 0) return i;
  }
  return std::nullopt;
}

void Choice::first(Position chosen, std::string_view reason) {
  taken_[attempts_.size()] = chosen;
  attempts_.push_back({.candidate = eligible_[chosen].candidate,
                       .prediction = eligible_[chosen],
                       .reason = reason});
}

std::string_view Choice::reason_for(Position chosen) const {
  const Prediction& p = eligible_[chosen];
  if ((tiers_[chosen] & kTierLate) != 0) return "least_late";
  if ((tiers_[chosen] & kTierRefusing) != 0) return "last_resort";
  if (p.breaker == BreakerState::HalfOpen) return "probe";
  if (eligible_.size() == 1) return "only_candidate";
  Position nearest = 0;
  Position cheapest = 0;
  for (Position i = 1; i < eligible_.size(); ++i) {
    if (eligible_[i].rtt_ms < eligible_[nearest].rtt_ms) nearest = i;
    if (eligible_[i].score_ms < eligible_[cheapest].score_ms) cheapest = i;
  }
  if (tiers_[cheapest] > tiers_[chosen]) {
    return (tiers_[cheapest] & kTierLate) != 0 ? "deadline" : "steadier";
  }
  const Prediction& n = eligible_[nearest];
  if (p.rtt_ms <= n.rtt_ms) return "nearest";
  if (chosen != best_) return "near_equal";
  const double load = n.wait_ms + n.slot_ms + n.barrier_ms - p.wait_ms - p.slot_ms - p.barrier_ms;
  const double speed =
      n.prefill_ms + n.overhead_ms + n.excess_ms - p.prefill_ms - p.overhead_ms - p.excess_ms;
  return load >= speed ? "less_load" : "faster";
}

void Choice::fill_rest() {
  const std::size_t wanted =
      std::min(std::clamp<std::size_t>(context_.options.attempts_max, 1, AttemptList::kMax),
               eligible_.size());
  const auto untaken = [&](Position i) {
    for (std::size_t k = 0; k < attempts_.size(); ++k) {
      if (taken_[k] == i) return false;
    }
    return true;
  };
  const auto elsewhere = [&](Position i) {
    for (std::size_t k = 0; k < attempts_.size(); ++k) {
      if (candidate(taken_[k]).site == candidate(i).site) return false;
    }
    return true;
  };
  while (attempts_.size() < wanted) {
    Position next = best(elsewhere);
    if (next == kNone) next = best(untaken);
    first(next, "fallback");
  }
}

AttemptList Choice::run() {
  if (eligible_.empty()) return {};
  const auto all = [](Position) { return true; };
  best_ = best(all);
  if (!sticky()) {
    const Position chosen = draw_near_equal(best_, all);
    if (const auto explored = explore(chosen)) {
      first(*explored, "explore");
    } else {
      first(chosen, reason_for(chosen));
    }
  }
  fill_rest();
  return attempts_;
}

}  // namespace

void match_prefixes(const PlanContext& context, const RouteRequest& request, Instant now,
                    PlanScratch& scratch) {
  scratch.matched.resize(context.candidates.slots());
  scratch.marks.resize(context.candidates.slots());
  ++scratch.mark;
  for (std::uint32_t depth = 0; depth < request.prefix_blocks.size(); ++depth) {
    bool deeper = false;
    context.prefixes.for_each_holder(
        request.prefix_blocks[depth], now, [&](const PrefixTable::Holder& holder) {
          if (context.candidates.find(holder.candidate) == nullptr) return;
          const std::uint32_t slot = CandidateTable::slot_of(holder.candidate);
          const std::uint32_t before =
              scratch.marks[slot] == scratch.mark ? scratch.matched[slot] : 0;
          if (before != depth) return;
          scratch.matched[slot] = depth + 1;
          scratch.marks[slot] = scratch.mark;
          deeper = true;
        });
    if (!deeper) break;
  }
}

std::uint32_t matched_tokens(const PlanContext& context, std::uint32_t slot,
                             const PlanScratch& scratch) {
  if (scratch.marks[slot] != scratch.mark) return 0;
  return scratch.matched[slot] * context.options.prefix_block_tokens;
}

bool predict_all(const PlanContext& context, const RouteRequest& request, Instant now,
                 bool with_rejected, PlanScratch& scratch) {
  scratch.eligible.clear();
  scratch.rejected.clear();
  scratch.costs.clear();
  scratch.tiers.clear();
  scratch.rejections.fill(0);
  const ModelEntry* model = context.candidates.model(request.model);
  if (model == nullptr) return false;

  scratch.lawful.assign(context.candidates.jurisdictions(), 0);
  for (const JurisdictionId& id : request.jurisdictions) {
    const std::uint32_t number =
        id.empty() ? NameTable::kNone : context.candidates.jurisdiction(id);
    if (number != NameTable::kNone) scratch.lawful[number] = 1;
  }
  match_prefixes(context, request, now, scratch);
  const RequestTerms terms = terms_of(request, *model, now);
  for (const std::uint32_t slot : model->candidates) {
    const Candidate& candidate = context.candidates.at(slot);
    const Rejection rejection = reject(candidate, request, scratch, now);
    if (rejection != Rejection::None) {
      ++scratch.rejections[static_cast<std::size_t>(rejection)];
      if (!with_rejected) continue;
    }
    const std::uint32_t matched = matched_tokens(context, slot, scratch);
    if (rejection != Rejection::None) {
      scratch.rejected.push_back(predict(candidate, terms, matched, now));
      scratch.rejected.back().rejection = rejection;
      continue;
    }
    scratch.eligible.push_back(predict(candidate, terms, matched, now));
    scratch.tiers.push_back(tier_of(scratch.eligible.back(), request, now));
    scratch.costs.push_back(cost_of(scratch.eligible.back(), scratch.tiers.back()));
  }
  return true;
}

AttemptList choose(const PlanContext& context, const RouteRequest& request, Instant now,
                   Random& random, const PlanScratch& scratch) {
  return Choice{context, request, now, random, scratch}.run();
}

}  // namespace perigee
