// The event log of a trial: one line per event of interest, made only when somebody reads it.
// Internal to world*.cpp.
#pragma once

#include <fmt/format.h>

#include <string>

#include "sim/trial/world.h"

namespace perigee::sim {

template <class... Args>
void World::log(const char* format, const Args&... args) {
  if (!options_.log) return;
  options_.log(fmt::format("{:10.6f} ", static_cast<double>(now_) * 1e-9) +
               fmt::format(fmt::runtime(format), args...));
}

}  // namespace perigee::sim
