// Whether news of a candidate are what requests wait for that nobody could take, or those that it
// already runs must hear of.
#pragma once

#include "core/router.h"

namespace perigee {

// `next` may take work, and what the router knows of that candidate so far may not. Ask before
// Router::update().
inline bool opens(const Router& router, const CandidateState& next) {
  if (!next.healthy || next.drained) return false;
  const auto index = router.find(next.id);
  const CandidateState* known = index ? router.candidate(*index) : nullptr;
  return known == nullptr || !known->healthy || known->drained;
}

// `next` can't be reached, and so far it could. Ask before Router::update().
inline bool closes(const Router& router, const CandidateState& next) {
  if (next.healthy) return false;
  const auto index = router.find(next.id);
  const CandidateState* known = index ? router.candidate(*index) : nullptr;
  return known != nullptr && known->healthy;
}

}  // namespace perigee
