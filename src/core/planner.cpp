#include "core/planner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "core/session_key.h"

namespace perigee {
namespace {

constexpr std::uint8_t kTierOverTarget = 1;
constexpr std::uint8_t kTierProbation = 2;
constexpr std::uint8_t kTierRefusing = 4;
constexpr std::uint8_t kTierLate = 8;

// One decision over what consider_all() left.
class Choice {
 public:
  Choice(const PlanContext& context, const RouteRequest& request, Instant now, Random& random,
         const PlanScratch& scratch)
      : context_(context),
        request_(request),
        now_(now),
        random_(random),
        scratch_(scratch),
        eligible_(scratch.eligible),
        targets_(scratch.terms.targets) {}

  RoutePlan run();

 private:
  using Position = std::size_t;
  static constexpr Position kNone = static_cast<Position>(-1);

  const Candidate& candidate(Position i) const { return context_.candidates.at(eligible_[i].slot); }
  const CandidateView& view(Position i) const {
    return context_.candidates.viewed(eligible_[i].slot);
  }
  Prediction prediction(Position i) const {
    return predict(candidate(i), view(i), scratch_.terms, eligible_[i].matched_blocks, now_);
  }
  bool before(Position a, Position b) const {
    if (eligible_[a].tier != eligible_[b].tier) return eligible_[a].tier < eligible_[b].tier;
    return eligible_[a].cost < eligible_[b].cost;
  }
  // How much worse than `than`, of the same tier.
  double loss(Position i, Position than) const { return eligible_[i].cost - eligible_[than].cost; }
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
  std::optional<Duration> hedge() const;

  const PlanContext& context_;
  const RouteRequest& request_;
  Instant now_;
  Random& random_;
  const PlanScratch& scratch_;
  const std::vector<Considered>& eligible_;
  ClassTargets targets_;
  RoutePlan plan_;
  std::array<Position, AttemptList::kMax> taken_{};
  Position best_ = 0;
};

template <class Among>
Choice::Position Choice::best(Among among) const {
  Position found = kNone;
  for (Position i = 0; i < eligible_.size(); ++i) {
    if ((found == kNone || before(i, found)) && among(i)) found = i;
  }
  return found;
}

// Draws with weight exp(-difference / margin) among those within the margin of `best`.
template <class Among>
Choice::Position Choice::draw_near_equal(Position best, Among among) {
  const EngineLoad& load = candidate(best).load;
  const bool idle = load.slots > 0 && load.slots_busy == 0 && load.queued_requests == 0;
  const double margin =
      kNearEqual_ms +
      (idle ? 0
            : kNearEqualShare * std::max(0.0, eligible_[best].time_ms - candidate(best).rtt_ms));
  const double most = eligible_[best].cost + margin;
  bool local = false;  // once one is found, only local ones count
  double total = 0;
  Position drawn = best;
  for (Position i = 0; i < eligible_.size(); ++i) {
    const Considered& near = eligible_[i];
    if (near.cost > most || near.tier != eligible_[best].tier || !among(i)) continue;
    const bool here = view(i).local;
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
  const std::uint32_t slot = CandidateTable::slot_of(newest.candidate);
  for (Position i = 0; i < eligible_.size(); ++i) {
    if (eligible_[i].slot == slot) return candidate(i).index == newest.candidate ? i : kNone;
  }
  return kNone;
}

// Where to stay, if the loss is bearable: at the session's last candidate, else where it is warm.
std::optional<Choice::Position> Choice::sticky() {
  const double ms_per_token = view(best_).ms_per_token;
  const auto bearable = [&](Position i, double loss_max_ms) {
    return eligible_[i].tier == eligible_[best_].tier &&
           eligible_[i].score_ms - eligible_[best_].score_ms <=
               std::min(targets_.sticky_loss_ms, loss_max_ms);
  };
  const Position holder = session_holder();
  if (holder != kNone && bearable(holder, targets_.sticky_loss_ms)) {
    first(holder, "session");
    return holder;
  }
  float most = 0;
  for (const Position i : scratch_.warm) {
    if (eligible_[i].tier == eligible_[best_].tier) {
      most = std::max(most, eligible_[i].cached_tokens);
    }
  }
  if (most < 1) return std::nullopt;
  const auto warm = [&](Position i) {
    return eligible_[i].cached_tokens >= kWarmShare * most &&
           bearable(i, eligible_[i].cached_tokens * std::min(ms_per_token, view(i).ms_per_token));
  };
  Position warmest = kNone;
  for (const Position i : scratch_.warm) {
    if ((warmest == kNone || before(i, warmest)) && warm(i)) warmest = i;
  }
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
    if (i == chosen || eligible_[i].tier != eligible_[chosen].tier ||
        loss(i, best_) > kExploreLoss * targets_.ttft_ms) {
      return false;
    }
    const Prediction p = prediction(i);
    return p.uncertainty_ms > kExploreUncertainty * p.ttft_ms;
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
  taken_[plan_.attempts.size()] = chosen;
  plan_.attempts.push_back(
      {.candidate = candidate(chosen).index, .prediction = prediction(chosen), .reason = reason});
}

std::string_view Choice::reason_for(Position chosen) const {
  const std::uint8_t tier = eligible_[chosen].tier;
  if ((tier & kTierLate) != 0) return "least_late";
  if ((tier & kTierRefusing) != 0) return "last_resort";
  if (candidate(chosen).breaker.state(now_) == BreakerState::HalfOpen) return "probe";
  if (eligible_.size() == 1) return "only_candidate";
  Position nearest = 0;
  Position cheapest = 0;
  double rtt_ms = view(0).rtt_ms;
  for (Position i = 1; i < eligible_.size(); ++i) {
    if (eligible_[i].score_ms < eligible_[cheapest].score_ms) cheapest = i;
    if (view(i).rtt_ms < rtt_ms) {
      nearest = i;
      rtt_ms = view(i).rtt_ms;
    }
  }
  const std::uint8_t better = eligible_[cheapest].tier;
  if (better > tier) {
    if ((better & kTierLate) != 0) return "deadline";
    return better == kTierOverTarget ? "in_time" : "steadier";
  }
  if (view(chosen).rtt_ms <= rtt_ms) return "nearest";
  if (chosen != best_) return "near_equal";
  const Prediction p = prediction(chosen);
  const Prediction n = prediction(nearest);
  const double load = n.wait_ms + n.slot_ms + n.barrier_ms - p.wait_ms - p.slot_ms - p.barrier_ms;
  const double speed =
      n.prefill_ms + n.overhead_ms + n.excess_ms - p.prefill_ms - p.overhead_ms - p.excess_ms;
  const double money = n.price_ms + n.backbone_ms - p.price_ms - p.backbone_ms;
  if (money > load && money > speed) return "cheaper";
  return load >= speed ? "less_load" : "faster";
}

void Choice::fill_rest() {
  AttemptList& attempts = plan_.attempts;
  const std::size_t wanted =
      std::min(std::clamp<std::size_t>(context_.options.attempts_max, 1, AttemptList::kMax),
               eligible_.size());
  const auto untaken = [&](Position i) {
    for (std::size_t k = 0; k < attempts.size(); ++k) {
      if (taken_[k] == i) return false;
    }
    return true;
  };
  const auto elsewhere = [&](Position i) {
    for (std::size_t k = 0; k < attempts.size(); ++k) {
      if (candidate(taken_[k]).site == view(i).site) return false;
    }
    return true;
  };
  while (attempts.size() < wanted) {
    Position next = best(elsewhere);
    if (next == kNone) next = best(untaken);
    first(next, "fallback");
  }
}

// When to start the second attempt beside the first; none when it would not pay.
std::optional<Duration> Choice::hedge() const {
  if (request_.service_class != ServiceClass::Realtime || plan_.attempts.size() < 2) {
    return std::nullopt;
  }
  const Candidate& one = candidate(taken_[0]);
  const Candidate& two = candidate(taken_[1]);
  const Prediction& p = plan_.attempts[0].prediction;
  const Prediction& q = plan_.attempts[1].prediction;
  const auto used = static_cast<double>(two.load.slots_busy) + two.load.queued_requests +
                    two.in_flight.unseen_requests;
  if (eligible_[taken_[1]].tier != 0 || !two.load_known() || q.slot_ms > 0 ||
      used > kHedgeLoadMost * two.slots_usable) {
    return std::nullopt;
  }
  const double first_ms = p.ttft_ms + kHedgeDeviations * ttft_deviation_ms(one, p);
  const double second_ms = q.ttft_ms + kHedgeDeviations * ttft_deviation_ms(two, q);
  double wanted_ms = targets_.ttft_ms;
  if (request_.deadline) {
    const double left_ms = to_ms(*request_.deadline - now_);
    wanted_ms = std::min(wanted_ms, left_ms - (q.finish_ms - q.ttft_ms));
  }
  if (first_ms + second_ms > wanted_ms) return std::nullopt;
  return from_ms(first_ms);
}

RoutePlan Choice::run() {
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
  plan_.hedge_after = hedge();
  return plan_;
}

// The filters, and the tier and cost of what passes.
class Consideration {
 public:
  Consideration(const PlanContext& context, const RouteRequest& request, Instant now,
                PlanScratch& scratch)
      : context_(context), request_(request), now_(now), tick_(view_tick(now)), scratch_(scratch) {}

  void run(const ModelEntry& model, bool with_rejected);

 private:
  Rejection reject(std::uint32_t slot, const CandidateView& view) const;
  bool was_tried(std::uint32_t slot) const;
  std::uint8_t tier_of(std::uint32_t slot, const CandidateView& view, double finish_ms) const;
  void mark_lawful();
  void fetch_ahead(const std::vector<std::uint32_t>& slots, std::size_t i) const;

  const PlanContext& context_;
  const RouteRequest& request_;
  Instant now_;
  std::int32_t tick_;
  PlanScratch& scratch_;
  double time_left_ms_ = 0;
  double price_ceiling_ = 0;
};

void Consideration::mark_lawful() {
  scratch_.lawful.assign(context_.candidates.jurisdictions(), 0);
  for (const JurisdictionId& id : request_.jurisdictions) {
    const std::uint32_t number =
        id.empty() ? NameTable::kNone : context_.candidates.jurisdiction(id);
    if (number != NameTable::kNone) scratch_.lawful[number] = 1;
  }
}

Rejection Consideration::reject(std::uint32_t slot, const CandidateView& view) const {
  if (!request_.jurisdictions.empty() && scratch_.lawful[view.jurisdiction] == 0) {
    return Rejection::Jurisdiction;
  }
  if ((request_.needs & ~view.capabilities) != 0) return Rejection::Capability;
  if (view.context_tokens > 0 && scratch_.terms.prompt_tokens > view.context_tokens) {
    return Rejection::Context;
  }
  if (view.attestation < request_.attestation) return Rejection::Attestation;
  if (request_.price_ceiling && view.price_micros_per_mtok > price_ceiling_) {
    return Rejection::Price;
  }
  if (request_.local_only && !view.local) return Rejection::Forwarded;
  if (!request_.tried.empty() && was_tried(slot)) return Rejection::Tried;
  if (view.open) return Rejection::None;
  const Candidate& candidate = context_.candidates.at(slot);
  if (candidate.drained) return Rejection::Drained;
  if (!candidate.healthy) return Rejection::Unhealthy;
  if (!candidate.has_capacity()) return Rejection::Capacity;
  return candidate.breaker.admits(now_) ? Rejection::None : Rejection::Breaker;
}

bool Consideration::was_tried(std::uint32_t slot) const {
  const CandidateIndex index = context_.candidates.at(slot).index;
  return std::ranges::find(request_.tried, index) != request_.tried.end();
}

std::uint8_t Consideration::tier_of(std::uint32_t slot, const CandidateView& view,
                                    double finish_ms) const {
  std::uint8_t tier = 0;
  if (request_.deadline && time_left_ms_ < finish_ms) tier |= kTierLate;
  if (view.open) return tier;
  const Candidate& candidate = context_.candidates.at(slot);
  if (request_.service_class == ServiceClass::Realtime &&
      candidate.breaker.state(now_) == BreakerState::HalfOpen) {
    tier |= kTierProbation;
  }
  if (candidate.refused && now_ < *candidate.refused + kRefusalMemory) tier |= kTierRefusing;
  return tier;
}

// Each candidate's filter is read at one place, far from all others: without this a decision would
// wait for memory twice per candidate. First the filter itself is fetched, later what it points to.
void Consideration::fetch_ahead(const std::vector<std::uint32_t>& slots, std::size_t i) const {
  constexpr std::size_t kFilterAhead = 16;
  constexpr std::size_t kWordsAhead = 8;
  if (request_.prefix_blocks.empty()) return;
  if (i + kFilterAhead < slots.size()) {
    __builtin_prefetch(context_.candidates.held_by(slots[i + kFilterAhead], tick_));
  }
  if (i + kWordsAhead >= slots.size()) return;
  const PrefixFilter* held = context_.candidates.held_by(slots[i + kWordsAhead], tick_);
  if (held != nullptr) held->prefetch(request_.prefix_blocks.front());
}

void Consideration::run(const ModelEntry& model, bool with_rejected) {
  if (!request_.jurisdictions.empty()) mark_lawful();
  if (request_.deadline) time_left_ms_ = to_ms(*request_.deadline - now_);
  price_ceiling_ = static_cast<double>(request_.price_ceiling.value_or(0));
  const RequestTerms& terms = scratch_.terms;
  bool money = false;
  for (std::size_t i = 0; i < model.candidates.size(); ++i) {
    const std::uint32_t slot = model.candidates[i];
    fetch_ahead(model.candidates, i);
    const CandidateView& view = context_.candidates.view(slot, tick_, now_);
    const Rejection rejection = reject(slot, view);
    if (rejection != Rejection::None) {
      ++scratch_.rejections[static_cast<std::size_t>(rejection)];
      if (with_rejected) scratch_.rejected.push_back({.slot = slot, .rejection = rejection});
      continue;
    }
    const std::uint32_t matched = matched_blocks(view, slot, request_, scratch_);
    const Estimate e = estimate(view, terms, matched);
    const std::uint8_t tier = tier_of(slot, view, e.finish_ms);
    if (matched > 0) {
      scratch_.warm.push_back(static_cast<std::uint32_t>(scratch_.eligible.size()));
    }
    scratch_.eligible.push_back({.cost = (tier & kTierLate) != 0 ? e.finish_ms : e.score_ms,
                                 .score_ms = e.score_ms,
                                 .time_ms = e.time_ms,
                                 .slot = slot,
                                 .matched_blocks = matched,
                                 .cached_tokens = static_cast<float>(e.cached_tokens),
                                 .tier = tier});
    money = money || e.score_ms > e.time_ms;
  }
  if (!money) return;
  for (Considered& considered : scratch_.eligible) {
    if (considered.time_ms > terms.targets.ttft_ms) considered.tier |= kTierOverTarget;
  }
}

}  // namespace

bool consider_all(const PlanContext& context, const RouteRequest& request, Instant now,
                  bool with_rejected, PlanScratch& scratch) {
  scratch.eligible.clear();
  scratch.warm.clear();
  scratch.rejected.clear();
  scratch.rejections.fill(0);
  const ModelEntry* model = context.candidates.model(request.model);
  if (model == nullptr) return false;
  match_prefixes(context, request, now, scratch);
  scratch.terms = terms_of(request, *model, context.options, now);
  Consideration{context, request, now, scratch}.run(*model, with_rejected);
  return true;
}

RoutePlan choose(const PlanContext& context, const RouteRequest& request, Instant now,
                 Random& random, const PlanScratch& scratch) {
  return Choice{context, request, now, random, scratch}.run();
}

}  // namespace perigee
