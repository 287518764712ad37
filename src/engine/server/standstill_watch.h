// StandstillWatch: tells an engine whose computing thread hangs from one that is slow or idle.
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "engine/llama/batcher.h"

namespace perigee::engine_server {

// A step is one batch of at most `--batch` tokens, cut to take about 100 ms; slow machines need
// seconds for their first one. What has ended none for a minute will end none.
inline constexpr Duration kStepMax = seconds{60};
// Only time over which the asker was served counts: whoever stops and continues the whole process,
// or the machine, adds no more than this. Sites ask twice a second.
inline constexpr Duration kLookMax = seconds{2};

// Decides by what it is told alone; one thread.
class StandstillWatch {
 public:
  // Called whenever somebody asks how the engine is. True: it has had work for kStepMax and ended
  // no step, and will have to be killed; false again if it gets on after all.
  bool look(Instant now, const llama::Pace& pace);

 private:
  llama::Pace seen_;
  Instant looked_{};
  Duration stood_{};
};

}  // namespace perigee::engine_server
