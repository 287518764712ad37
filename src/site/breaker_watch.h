// BreakerWatch: since when the breakers of the router's candidates stand as they do, for people.
// The router decides with them and remembers no more than it needs; this looks on.
#pragma once

#include <map>
#include <vector>

#include "core/router.h"

namespace perigee {

// A candidate and how its breaker stands.
struct BreakerReport {
  CandidateId candidate;
  BreakerState state = BreakerState::Closed;
  Instant since{};  // when it was first seen to have failed; zero while closed
};

// IO thread.
class BreakerWatch {
 public:
  // `router` must outlive it.
  explicit BreakerWatch(const Router& router) : router_(router) {}
  // Looks at these candidates; called about once a second, so that `since` is as good as that.
  // Those that are not given any more are forgotten. Unknown ones are left out.
  const std::vector<BreakerReport>& look(const std::vector<CandidateId>& candidates, Instant now);

 private:
  const Router& router_;
  std::map<CandidateId, Instant> failing_;
  std::vector<BreakerReport> reports_;
};

}  // namespace perigee
