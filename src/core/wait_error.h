// WaitError: how far waits in a queue were from what was predicted as they began. A queue that lets
// in all who are predicted to be just in time stands at that limit while it is overloaded, and then
// half of them are late: their slots are wasted. So something is kept for the error, learned from
// the waits that ended, and forgotten while none ends: an error that shuts a queue, as after an
// engine stood still, leaves nobody in it to teach that it has passed.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/instant.h"

namespace perigee {

class WaitError {
 public:
  // A wait has ended. An error beyond `most_ms` is taken as that large.
  void observe(double predicted_ms, double waited_ms, double most_ms, Instant now) {
    const double kept = left(now);
    mean_ms_ *= kept;
    variance_ *= kept * kept;
    learned_ = now;
    const double error = std::clamp(waited_ms - predicted_ms, -most_ms, most_ms);
    const double off = error - mean_ms_;
    mean_ms_ += kAdaptation * off;
    variance_ += kAdaptation * (off * off - variance_);
  }
  // What to keep, so that nine in ten waits stay within prediction and margin; `even`: so that
  // every other does. Never negative: where predictions are too long, their own terms learn that.
  double margin_ms(bool even, Instant now) const {
    const double deviations = even ? 0 : kKept_deviations * std::sqrt(variance_);
    return left(now) * std::max(0.0, mean_ms_ + deviations);
  }

 private:
  static constexpr double kKept_deviations = 1.2816;  // 90 % of a normal distribution are below
  static constexpr double kAdaptation = 1.0 / 32;
  static constexpr Duration kRemembered = seconds{30};  // whole; then half of it each time

  // The part of what was learned that is still believed.
  double left(Instant now) const {
    const Duration since = now - learned_ - kRemembered;
    return since <= Duration{} ? 1 : std::exp2(-to_seconds(since) / to_seconds(kRemembered));
  }

  Instant learned_{};
  double mean_ms_ = 0;
  double variance_ = 0;
};

}  // namespace perigee
