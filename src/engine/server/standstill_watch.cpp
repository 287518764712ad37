#include "engine/server/standstill_watch.h"

#include <algorithm>
#include <utility>

namespace perigee::engine_server {

bool StandstillWatch::look(Instant now, const llama::Pace& pace) {
  const Duration since = std::min<Duration>(now - std::exchange(looked_, now), kLookMax);
  const llama::Pace before = std::exchange(seen_, pace);
  // Work that was not there at the last look may have come this very instant.
  const bool stands = before.working && pace.working && before.steps == pace.steps;
  stood_ = stands ? stood_ + since : Duration{};
  return stood_ >= kStepMax;
}

}  // namespace perigee::engine_server
