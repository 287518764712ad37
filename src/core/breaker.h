// Breaker: keeps requests away from a candidate that fails, and lets one probe in after a time.
// Closed -> Open on kFailuresInRow failures in a row, or when more than half of at least
// kErrorsLeast recent attempts failed. Open -> HalfOpen after a time that doubles each time it
// opens again. HalfOpen admits one attempt at a time: its first token closes the breaker, its
// failure opens it. A refusal for load is no failure.
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "core/router.h"

namespace perigee {

// Three in a row: a dead site is left within three requests, and one lost connection opens nothing
// (Envoy's outlier detection: 5; SMG: 10, for fleets where no neighbour can take over in 20 ms).
inline constexpr std::uint32_t kFailuresInRow = 3;
// Envoy's success-rate detection asks for volume before it judges a rate; half failing is useless.
inline constexpr double kErrorsLeast = 10;
inline constexpr double kErrorShare = 0.5;
inline constexpr Duration kErrorMemory = seconds{30};  // attempts fade with this time constant
// LiteLLM's cooldown is 5 s, SMG's 60 s, Envoy's 30 s times the number of ejections. Here it may be
// the only site that the law allows: so long after it works again it may still be refused.
inline constexpr Duration kOpenFirst = seconds{5};
inline constexpr Duration kOpenMost = seconds{10};

class Breaker {
 public:
  BreakerState state(Instant now) const {
    if (!open_) return BreakerState::Closed;
    return now < open_until_ ? BreakerState::Open : BreakerState::HalfOpen;
  }
  // Whether an attempt may start now.
  bool closed() const { return !open_; }
  bool admits(Instant now) const { return !open_ || (now >= open_until_ && !probing_); }
  // When it next may admit one; meaningful while Open.
  Instant probes_at() const { return open_until_; }

  // Called as an attempt starts; true: it is the probe, to be named in the calls below.
  bool started(Instant now);
  void succeeded(bool probe, Instant now);
  void failed(bool probe, Instant now);
  // The candidate was not healthy and is again: what failed was another run of it. It starts
  // closed; if it fails all the same, it is left alone for longer than the last time.
  void returned() {
    const std::uint32_t opened = opened_in_row_;
    *this = Breaker{};
    opened_in_row_ = opened;
  }
  void released(bool probe);  // ended without saying anything about the candidate

 private:
  void fade(Instant now);
  void open(Instant now);

  bool open_ = false;  // Open or HalfOpen
  bool probing_ = false;
  std::uint32_t failures_in_row_ = 0;
  std::uint32_t opened_in_row_ = 0;  // without a close between
  double attempts_ = 0;              // recent, faded
  double failures_ = 0;
  Instant faded_{};
  Instant open_until_{};
};

}  // namespace perigee
