// CandidateTable: the candidates a router knows, dense by handle and listed per model, so that a
// plan touches only those that could serve it. What a plan reads (Candidate) is kept apart from
// what people read (CandidateState).
#pragma once

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

struct Candidate {
  CandidateIndex index = 0;
  std::uint32_t site = 0;          // number of its name
  std::uint32_t jurisdiction = 0;  // number of its name
  std::uint32_t model = 0;         // position in the table of models
  bool live = false;
  bool local = false;
  bool healthy = false;
  bool drained = false;
  double rtt_ms = 0;
  EngineLoad load;                 // numbers made sane
  double barrier_ms = 0;           // follows from the load
  std::optional<Instant> refused;  // when it last refused for load
  InFlightCounters in_flight;
  PrefillEstimate prefill;
  ScalarEstimate tpot_factor;  // observed time per token, as a multiple of what it publishes
  ScalarEstimate cache_yield;  // cached tokens found, as a share of those expected
  Breaker breaker;

  Candidate();
  bool load_known() const { return load.slots > 0; }
};

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
  void remove(const CandidateId& id);

  Candidate* find(CandidateIndex index);              // null when gone
  const Candidate* find(CandidateIndex index) const;  // null when gone
  const CandidateState* state(CandidateIndex index) const;
  std::optional<CandidateIndex> find(const CandidateId& id) const;

  ModelEntry* model(const ModelId& id);
  const ModelEntry* model(const ModelId& id) const;
  ModelEntry& model_of(const Candidate& candidate) { return models_[candidate.model]; }
  const Candidate& at(std::uint32_t slot) const { return candidates_[slot]; }
  std::size_t slots() const { return candidates_.size(); }
  std::uint32_t jurisdiction(const JurisdictionId& id) const {
    return jurisdictions_.find(id.str());
  }
  std::size_t jurisdictions() const { return jurisdictions_.size(); }

 private:
  std::uint32_t add(const CandidateId& id);

  std::uint32_t candidates_max_;
  std::vector<Candidate> candidates_;
  std::vector<CandidateState> states_;
  std::vector<std::uint32_t> free_;
  std::map<CandidateId, std::uint32_t> slots_;
  NameTable model_numbers_;
  NameTable sites_;
  NameTable jurisdictions_;
  std::vector<ModelEntry> models_;
};

}  // namespace perigee
