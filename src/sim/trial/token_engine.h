// TokenEngine: an engine that is followed token by token, since a fault may strike between any two.
// Continuous batching with chunked prefill: in an iteration every sequence that decodes gets a
// token, and prompts are prefilled in the order of arrival as long as new tokens last. It knows no
// caches and no lack of memory: the engine of sim/engine_model.h does.
//
// The owner calls begin() when it is idle and has work, and end() when that iteration's time is
// over.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/inference.h"
#include "sim/engine_profile.h"
#include "sim/event_queue.h"

namespace perigee::sim {

class TokenEngine {
 public:
  struct Sequence {
    std::uint32_t attempt = 0;      // the owner's number for it
    std::uint32_t prompt_left = 0;  // tokens to prefill: prompt, and what was generated before
    std::uint32_t position = 0;     // of the next token, from 0
    std::uint32_t end = 1;          // one past the last
    std::uint32_t chunk = 0;        // of the iteration under way
  };
  struct Made {
    std::uint32_t attempt = 0;
    std::uint32_t position = 0;
    bool last = false;
  };

  explicit TokenEngine(const EngineProfile& profile) : profile_(profile) {}

  bool submit(const Sequence& sequence);  // false: its queue is full
  bool withdraw(std::uint32_t attempt);   // false: not here
  std::vector<std::uint32_t> fail();      // ends all; their attempts
  bool idle() const { return running_.empty() && waiting_.empty(); }
  bool busy() const { return busy_; }  // an iteration is under way
  Nanos begin();                       // how long it takes
  void end(std::vector<Made>& made);

  std::uint32_t running() const { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t waiting() const { return static_cast<std::uint32_t>(waiting_.size()); }
  EngineLoad load() const;
  const EngineProfile& profile() const { return profile_; }

 private:
  EngineProfile profile_;
  std::vector<Sequence> running_;
  std::deque<Sequence> waiting_;
  bool busy_ = false;
};

}  // namespace perigee::sim
