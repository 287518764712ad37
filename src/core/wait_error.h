// WaitError: how far waits in a queue were from what was predicted as they began. A queue that lets
// in all who are predicted to be just in time stands at that limit while it is overloaded, and then
// half of them are late: their slots are wasted. So predictions are stretched by what most waits
// stay within, learned from those that ended.
#pragma once

#include <algorithm>
#include <cmath>

namespace perigee {

class WaitError {
 public:
  // A wait has ended. Predictions below `least_ms` count as that: of a short one any error is large
  // in proportion, and means nothing.
  void observe(double predicted_ms, double waited_ms, double least_ms) {
    const double ratio = std::clamp(waited_ms / std::max(predicted_ms, least_ms), 0.0, kRatioMost);
    const double off = ratio - mean_;
    mean_ += kAdaptation * off;
    variance_ += kAdaptation * (off * off - variance_);
  }
  // Times the prediction: what nine in ten waits stay within. Never below 1: where predictions are
  // too long, their own terms learn that.
  double stretch() const { return std::max(1.0, mean_ + kKept_deviations * std::sqrt(variance_)); }

 private:
  static constexpr double kKept_deviations = 1.2816;  // 90 % of a normal distribution are below
  static constexpr double kAdaptation = 1.0 / 32;
  static constexpr double kRatioMost = 4;  // further off is as far off
  double mean_ = 1;
  double variance_ = 0;
};

}  // namespace perigee
