#include "core/pace_limit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/class_targets.h"

namespace perigee {
namespace {

constexpr double kAdaptation = 0.02;  // weight of the newest answer
constexpr double kFarOff = 1;         // more off is no spread of one batch

}  // namespace

void PaceLimit::observe(double running, double tpot_ms, Instant now) {
  time_.observe(running, tpot_ms, 0, now);
  observed_ = true;
}

void PaceLimit::ended(double tpot_ms, double expected_ms) {
  if (!(expected_ms > 0) || !std::isfinite(tpot_ms)) return;
  const double off = std::clamp(tpot_ms / expected_ms - 1, -kFarOff, kFarOff);
  variance_ += kAdaptation * (off * off - variance_);
}

double PaceLimit::most_running(double slots, std::span<const std::uint32_t, kClasses> requests,
                               Instant now) const {
  double most = std::numeric_limits<double>::infinity();
  if (!observed_) return most;
  const double base_ms = time_.at(now).overhead_ms;
  const double each_ms = time_.at(now).ms_per_token;
  const double margin = 1 + kPaceKept_deviations * std::sqrt(variance_);
  double best = 0;
  for (std::size_t c = 0; c < kClasses; ++c) {
    if (requests[c] == 0) continue;
    const double pace_ms = targets_of(static_cast<ServiceClass>(c)).tpot_ms;
    double kept = 0;  // requests whose pace is at least this one
    for (std::size_t other = 0; other < kClasses; ++other) {
      if (targets_of(static_cast<ServiceClass>(other)).tpot_ms >= pace_ms) kept += requests[other];
    }
    const double running = std::max(1.0, (pace_ms / margin - base_ms) / each_ms);
    const double value = running / pace_ms * kept;
    if (value <= best) continue;
    best = value;
    most = running;
  }
  const double full = std::isfinite(slots) ? slots / (base_ms + each_ms * slots) : 1 / each_ms;
  const double wanted = kThroughputLeast * full;  // requests per ms and token
  // Whole requests run: the part of one that is cut off may be half of what a small engine has.
  return std::max(most, std::ceil(wanted * base_ms / (1 - wanted * each_ms)));
}

}  // namespace perigee
