#include "core/candidate_table.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace perigee {
namespace {

constexpr ScalarEstimate::Options kCacheYield{
    .mean = 1, .deviation = 0.3, .noise = 0.3, .least = 0, .most = 1};
// Estimates of prompt tokens count bytes; tokenizers differ.
constexpr ScalarEstimate::Options kTokenScale{
    .mean = 1, .deviation = 0.5, .noise = 0.2, .least = 0.1, .most = 10};

constexpr double kRoundOff = 1e-9;  // 10 * (1 - 0.1) is nine
constexpr double kBackboneMost_ms_per_mib = 1e6;

double sane(double value, double most) {
  return std::isfinite(value) && value > 0 ? std::min(value, most) : 0;
}

// Share of the slots left by the power and the network's own work.
double usable_share(const CandidateState& state) {
  const double power = std::isfinite(state.power_share) ? sane(state.power_share, 1) : 1;
  return power * (1 - sane(state.reserved_share, 1));
}

// At least one while any share is left.
std::uint32_t usable_slots(std::uint32_t slots, double part) {
  if (slots == 0 || part <= 0) return 0;
  return std::max(1U, static_cast<std::uint32_t>(slots * part + kRoundOff));
}

EngineLoad sane(EngineLoad load) {
  load.kv_used = sane(load.kv_used, 1);
  load.prefill_tokens_per_s = sane(load.prefill_tokens_per_s, 1e7);
  load.decode_ms = sane(load.decode_ms, 60'000);
  return load;
}

}  // namespace

std::uint32_t NameTable::acquire(const std::string& name) {
  auto [found, fresh] = uses_.try_emplace(name);
  if (fresh) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(numbers_.size()));
      numbers_.push_back(free_.back());
    }
    found->second.number = free_.back();
    free_.pop_back();
  }
  ++found->second.count;
  return found->second.number;
}

void NameTable::release(const std::string& name) {
  const auto found = uses_.find(name);
  PERIGEE_ASSERT(found != uses_.end());
  if (--found->second.count > 0) return;
  free_.push_back(found->second.number);
  uses_.erase(found);
}

std::uint32_t NameTable::find(const std::string& name) const {
  const auto found = uses_.find(name);
  return found == uses_.end() ? kNone : found->second.number;
}

Candidate::Candidate() : tpot_factor(&kTpotFactor), cache_yield(&kCacheYield) {}

ModelEntry::ModelEntry() : output_tokens(&kOutputTokens), token_scale(&kTokenScale) {}

CandidateTable::CandidateTable(std::uint32_t candidates_max)
    : candidates_max_(std::min(candidates_max, 1U << kSlotBits)) {}

std::uint32_t CandidateTable::add(const CandidateId& id) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(candidates_.size());
    candidates_.emplace_back().index = slot;
    states_.emplace_back();
    views_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
    const CandidateIndex index = candidates_[slot].index;
    candidates_[slot] = Candidate{};
    candidates_[slot].index = index;
  }
  Candidate& candidate = candidates_[slot];
  candidate.live = true;
  candidate.site = sites_.acquire(id.site.str());
  candidate.jurisdiction = jurisdictions_.acquire({});
  candidate.model = model_numbers_.acquire(id.model.str());
  if (candidate.model >= models_.size()) models_.resize(candidate.model + 1);
  models_[candidate.model].candidates.push_back(slot);
  states_[slot] = {};
  slots_.emplace(id, slot);
  return slot;
}

Result<CandidateIndex> CandidateTable::update(const CandidateState& state,
                                              InFlightTable& in_flight) {
  const auto known = slots_.find(state.id);
  if (known == slots_.end() && slots_.size() >= candidates_max_) {
    return Error{Code::ResourceExhausted, "the router knows its maximum of " +
                                              std::to_string(candidates_max_) +
                                              " candidates; remove sites or models"};
  }
  const bool fresh = known == slots_.end();
  const std::uint32_t slot = fresh ? add(state.id) : known->second;
  Candidate& candidate = candidates_[slot];
  CandidateState& stored = states_[slot];

  const std::uint32_t jurisdiction = jurisdictions_.acquire(state.jurisdiction.str());
  jurisdictions_.release(stored.jurisdiction.str());
  candidate.jurisdiction = jurisdiction;
  candidate.local = state.local;
  if (state.healthy && !candidate.healthy) candidate.breaker.returned();
  candidate.healthy = state.healthy;
  candidate.drained = state.drained;
  candidate.rtt_ms = state.rtt > Duration::zero() ? to_ms(state.rtt) : 0;

  const bool newer = fresh || state.reported > stored.reported;
  const bool stale = !fresh && state.reported < stored.reported;
  const EngineLoad load = stale ? candidate.load : sane(state.load);
  const Instant reported = stale ? stored.reported : state.reported;
  stored = state;
  candidate.backbone_ms_per_mib =
      state.local ? 0 : sane(state.backbone_ms_per_mib, kBackboneMost_ms_per_mib);
  take_load(candidate, stored, load, reported, newer, in_flight);
  return candidate.index;
}

void CandidateTable::report(CandidateIndex index, const EngineLoad& load, Instant reported,
                            InFlightTable& in_flight) {
  Candidate* candidate = find(index);
  if (candidate == nullptr) return;
  CandidateState& stored = states_[slot_of(index)];
  if (reported < stored.reported) return;
  take_load(*candidate, stored, sane(load), reported, reported > stored.reported, in_flight);
}

void CandidateTable::take_load(Candidate& candidate, CandidateState& stored, const EngineLoad& load,
                               Instant reported, bool newer, InFlightTable& in_flight) {
  stored.load = load;
  stored.reported = reported;
  candidate.load = load;
  const double part = usable_share(stored);
  candidate.starved = part <= 0;
  candidate.slots_usable = usable_slots(load.slots, part);
  const double kv_used = std::min(load.kv_used, kKvUsedMost);
  candidate.barrier_ms = kBarrier_ms * kv_used / (1 - kv_used);
  candidate.engines = std::max(stored.engines, 1U);
  candidate.prefill.seed(load.prefill_tokens_per_s / candidate.engines);
  if (newer && candidate.load_known()) {
    in_flight.report(candidate.in_flight, reported);
    if (candidate.refused && reported > *candidate.refused) candidate.refused.reset();
  }
  changed(candidate);
}

void CandidateTable::remove(const CandidateId& id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return;
  const std::uint32_t slot = found->second;
  Candidate& candidate = candidates_[slot];
  ModelEntry& model = models_[candidate.model];
  std::erase(model.candidates, slot);
  if (model.candidates.empty()) model = ModelEntry{};
  sites_.release(id.site.str());
  jurisdictions_.release(states_[slot].jurisdiction.str());
  model_numbers_.release(id.model.str());
  states_[slot] = {};
  candidate.live = false;
  candidate.index += 1U << kSlotBits;  // wraps after 4,096 removals from this slot
  changed(candidate);
  free_.push_back(slot);
  slots_.erase(found);
}

const Candidate* CandidateTable::find(CandidateIndex index) const {
  const std::uint32_t slot = slot_of(index);
  if (slot >= candidates_.size()) return nullptr;
  const Candidate& candidate = candidates_[slot];
  return candidate.live && candidate.index == index ? &candidate : nullptr;
}

Candidate* CandidateTable::find(CandidateIndex index) {
  return const_cast<Candidate*>(std::as_const(*this).find(index));
}

const CandidateState* CandidateTable::state(CandidateIndex index) const {
  return find(index) != nullptr ? &states_[slot_of(index)] : nullptr;
}

std::optional<CandidateIndex> CandidateTable::find(const CandidateId& id) const {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return std::nullopt;
  return candidates_[found->second].index;
}

const ModelEntry* CandidateTable::model(const ModelId& id) const {
  const std::uint32_t number = model_numbers_.find(id.str());
  return number == NameTable::kNone ? nullptr : &models_[number];
}

ModelEntry* CandidateTable::model(const ModelId& id) {
  return const_cast<ModelEntry*>(std::as_const(*this).model(id));
}

}  // namespace perigee
