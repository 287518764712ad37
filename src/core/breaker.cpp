#include "core/breaker.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace perigee {

std::string_view to_string(BreakerState state) {
  switch (state) {
    case BreakerState::Closed: return "closed";
    case BreakerState::Open: return "open";
    case BreakerState::HalfOpen: return "half_open";
  }
  PERIGEE_ASSERT(false);
}

bool Breaker::started(Instant now) {
  if (state(now) != BreakerState::HalfOpen || probing_) return false;
  probing_ = true;
  return true;
}

void Breaker::succeeded(bool probe, Instant now) {
  if (probe) {
    *this = Breaker{};
    faded_ = now;
  }
  if (open_) return;  // began before it opened
  fade(now);
  attempts_ += 1;
  failures_in_row_ = 0;
}

void Breaker::failed(bool probe, Instant now) {
  if (probe) probing_ = false;
  if (open_ && !probe) return;  // began before it opened
  fade(now);
  attempts_ += 1;
  failures_ += 1;
  ++failures_in_row_;
  const bool rate = attempts_ >= kErrorsLeast && failures_ > kErrorShare * attempts_;
  if (probe || failures_in_row_ >= kFailuresInRow || rate) open(now);
}

void Breaker::released(bool probe) {
  if (probe) probing_ = false;
}

void Breaker::fade(Instant now) {
  if (now > faded_) {
    const double keep = std::exp(-to_seconds(now - faded_) / to_seconds(kErrorMemory));
    attempts_ *= keep;
    failures_ *= keep;
    faded_ = now;
  }
}

void Breaker::open(Instant now) {
  const std::uint32_t doublings = std::min(opened_in_row_, 8U);
  open_until_ = now + std::min(kOpenFirst * (1U << doublings), kOpenMost);
  open_ = true;
  ++opened_in_row_;
}

}  // namespace perigee
