// CandidateTable: the candidates a router knows, dense by handle and listed per model, so that a
// plan touches only those that could serve it. What a plan reads of every candidate (CandidateView,
// two cache lines) is kept apart from what changes it (Candidate) and from what people read
// (CandidateState).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/instant.h"
#include "core/breaker.h"
#include "core/in_flight.h"
#include "core/rate_estimator.h"
#include "core/router.h"

namespace perigee {

// Numbers for names, given again once nobody uses them.
class NameTable {
 public:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  std::uint32_t acquire(const std::string& name);
  void release(const std::string& name);
  std::uint32_t find(const std::string& name) const;    // kNone when unknown
  std::size_t size() const { return numbers_.size(); }  // every number is below

 private:
  struct Use {
    std::uint32_t number = 0;
    std::uint32_t count = 0;
  };
  std::unordered_map<std::string, Use> uses_;  // looked up, never iterated
  std::vector<std::uint32_t> numbers_;         // all ever given: its size bounds them
  std::vector<std::uint32_t> free_;
};

// barrier = kBarrier_ms * k / (1 - k) for KV use k: nothing when empty, 0.15 s at half, a wall near
// full. Form and constant are SMG's least_load (lambda = 0.15 s).
inline constexpr double kBarrier_ms = 150;
// k is cut here, where the wall is 7.35 s high, so that full candidates still compare.
inline constexpr double kKvUsedMost = 0.98;

// Learned values drift towards their priors over ten minutes; a view holds them as of the last full
// second, which is off by 0.2 % of the difference at most and need not be computed per decision.
inline constexpr Duration kViewTick = seconds{1};

// All that a decision reads of a candidate it does not choose, ready to be added up.
struct alignas(64) CandidateView {
  static constexpr std::int32_t kStale = -1;
  std::int32_t tick = kStale;  // count of kViewTick: lasts for 68 years
  CandidateIndex index = 0;
  std::uint32_t jurisdiction = 0;  // number of its name
  std::uint32_t site = 0;          // number of its name
  std::uint32_t context_tokens = 0;
  bool local = false;
  bool open = false;  // healthy, not drained, with a slot, breaker closed, refused nothing lately
  Capabilities capabilities = kEverything;
  Attestation attestation = Attestation::None;
  double rtt_ms = 0;
  double wait_ms = 0;
  double ready_ms = 0;            // rtt + overhead + wait: what any request waits, but for a slot
  double slot_ms_per_output = 0;  // wait for a slot, per token of answers
  double ms_per_token = 0;
  double tpot_ms = 0;
  double barrier_ms = 0;
  double cache_yield = 1;
  double price_micros_per_mtok = 0;
  double backbone_ms_per_mib = 0;
  const PrefixFilter* held = nullptr;
  // Time beyond each class's pace, per token of answers: expected, not that of the expected tpot.
  std::array<float, 4> excess_per_output{};
};
static_assert(sizeof(CandidateView) == 128);
inline std::int32_t view_tick(Instant now) {
  return static_cast<std::int32_t>(now.time_since_epoch() / kViewTick);
}

struct Candidate {
  CandidateIndex index = 0;
  std::uint32_t site = 0;          // number of its name
  std::uint32_t jurisdiction = 0;  // number of its name
  std::uint32_t model = 0;         // position in the table of models
  bool live = false;
  bool local = false;
  bool healthy = false;
  bool drained = false;
  bool starved = false;  // no share is left by the power and the network's own work
  double rtt_ms = 0;
  double backbone_ms_per_mib = 0;
  EngineLoad load;                 // numbers made sane
  std::uint32_t slots_usable = 0;  // of load.slots
  std::uint32_t engines = 1;       // that the load is summed over
  double barrier_ms = 0;           // follows from the load
  std::optional<Instant> refused;  // when it last refused for load
  InFlightCounters in_flight;
  PrefillEstimate prefill;
  ScalarEstimate tpot_factor;  // observed time per token, as a multiple of what it publishes
  ScalarEstimate cache_yield;  // cached tokens found, as a share of those expected
  Breaker breaker;

  Candidate();
  bool load_known() const { return load.slots > 0; }
  bool has_capacity() const { return !starved && (slots_usable > 0 || !load_known()); }
};

// As of the last full second before `now`.
CandidateView view_of(const Candidate& candidate, const CandidateState& state, Instant now);

struct ModelEntry {
  std::vector<std::uint32_t> candidates;  // slots, in the order in which they came
  ScalarEstimate output_tokens;           // of an answer
  ScalarEstimate token_scale;             // real tokens per estimated token of a prompt

  ModelEntry();
};

class CandidateTable {
 public:
  explicit CandidateTable(std::uint32_t candidates_max);

  // A slot is the lower bits of a handle, its generation the upper.
  static constexpr std::uint32_t kSlotBits = 20;
  static std::uint32_t slot_of(CandidateIndex index) { return index & ((1U << kSlotBits) - 1); }

  Result<CandidateIndex> update(const CandidateState& state, InFlightTable& in_flight);
  void report(CandidateIndex index, const EngineLoad& load, Instant reported,
              InFlightTable& in_flight);
  void remove(const CandidateId& id);

  // Null when gone. Call changed() after changing it.
  Candidate* find(CandidateIndex index);
  void changed(const Candidate& candidate) {
    views_[slot_of(candidate.index)].tick = CandidateView::kStale;
  }
  const Candidate* find(CandidateIndex index) const;  // null when gone
  const CandidateState* state(CandidateIndex index) const;
  std::optional<CandidateIndex> find(const CandidateId& id) const;

  ModelEntry* model(const ModelId& id);
  const ModelEntry* model(const ModelId& id) const;
  ModelEntry& model_of(const Candidate& candidate) { return models_[candidate.model]; }
  const ModelEntry& model_of(const Candidate& candidate) const { return models_[candidate.model]; }
  const Candidate& at(std::uint32_t slot) const { return candidates_[slot]; }
  // `tick` is view_tick(now), counted once per decision: it is a division.
  const CandidateView& view(std::uint32_t slot, std::int32_t tick, Instant now) const {
    CandidateView& view = views_[slot];
    if (view.tick != tick) view = view_of(candidates_[slot], states_[slot], now);
    return view;
  }
  const CandidateView& view(std::uint32_t slot, Instant now) const {
    return view(slot, view_tick(now), now);
  }
  // As view() gave it last.
  const CandidateView& viewed(std::uint32_t slot) const { return views_[slot]; }
  // The filter of a view that is as of `tick`: null when it has none, or view() would make it anew.
  const PrefixFilter* held_by(std::uint32_t slot, std::int32_t tick) const {
    const CandidateView& view = views_[slot];
    return view.tick == tick ? view.held : nullptr;
  }
  std::size_t slots() const { return candidates_.size(); }
  std::uint32_t jurisdiction(const JurisdictionId& id) const {
    return jurisdictions_.find(id.str());
  }
  std::size_t jurisdictions() const { return jurisdictions_.size(); }

 private:
  std::uint32_t add(const CandidateId& id);
  // `load` is sane; `stored` has the rest of the state already.
  void take_load(Candidate& candidate, CandidateState& stored, const EngineLoad& load,
                 Instant reported, bool newer, InFlightTable& in_flight);

  std::uint32_t candidates_max_;
  std::vector<Candidate> candidates_;
  std::vector<CandidateState> states_;
  mutable std::vector<CandidateView> views_;  // computed from the two above when stale
  std::vector<std::uint32_t> free_;
  std::map<CandidateId, std::uint32_t> slots_;
  NameTable model_numbers_;
  NameTable sites_;
  NameTable jurisdictions_;
  std::vector<ModelEntry> models_;
};

}  // namespace perigee
