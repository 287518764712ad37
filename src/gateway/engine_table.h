// EngineTable: which Engine answers for which candidate of the router. Filled by the site (its own
// engines) and by peer/ (remote sites); read by the gateway.
#pragma once

#include <memory>
#include <unordered_map>
#include <utility>

#include "core/router.h"
#include "engine/engine.h"

namespace perigee {

class EngineTable {
 public:
  void set(CandidateIndex index, std::shared_ptr<Engine> engine) {
    engines_.insert_or_assign(index, std::move(engine));
  }
  void remove(CandidateIndex index) { engines_.erase(index); }
  // Null when the candidate has gone since it was planned.
  Engine* find(CandidateIndex index) const {
    const auto found = engines_.find(index);
    return found == engines_.end() ? nullptr : found->second.get();
  }

 private:
  std::unordered_map<CandidateIndex, std::shared_ptr<Engine>> engines_;
};

}  // namespace perigee
