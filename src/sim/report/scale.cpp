#include "sim/report/scale.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace perigee::sim {
namespace {

constexpr double kMost = 1e15;
constexpr double kLogLeast = 1e-6;
constexpr int kTicks = 6;

// 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= least * 0.999999) return power * factor;
  }
  return power * 10;
}

// The largest of 1, 2, 5 times a power of ten that is not above, or the smallest not below.
double round_down(double value) {
  const double power = std::pow(10, std::floor(std::log10(value) + 1e-9));
  for (const double factor : {5.0, 2.0}) {
    if (value >= power * factor * 0.999999) return power * factor;
  }
  return power;
}
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value) + 1e-9));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (value <= power * factor * 1.000001) return power * factor;
  }
  return power * 10;
}

}  // namespace

Scale Scale::linear(double low, double high, double from, double to) {
  if (!std::isfinite(low) || std::abs(low) > kMost) low = 0;
  if (!std::isfinite(high) || std::abs(high) > kMost) high = low + 1;
  if (high < low) std::swap(low, high);
  if (high - low <= std::max(std::abs(high), 1.0) * 1e-9) high = low + std::max(1.0, std::abs(low));
  const double step = round_step((high - low) / kTicks);
  Scale scale;
  scale.low_ = std::floor(low / step + 1e-9) * step;
  scale.high_ = std::ceil(high / step - 1e-9) * step;
  scale.from_ = from;
  scale.to_ = to;
  const auto count = static_cast<int>(std::lround((scale.high_ - scale.low_) / step));
  for (int i = 0; i <= count; ++i) scale.ticks_.push_back(scale.low_ + i * step);
  return scale;
}

Scale Scale::logarithmic(double low, double high, double from, double to) {
  if (!std::isfinite(low) || low < kLogLeast) low = kLogLeast;
  if (!std::isfinite(high) || high > kMost) high = kMost;
  if (low > kMost / 10) low = kMost / 10;
  if (high < low) high = low;
  Scale scale;
  scale.log_ = true;
  scale.low_ = round_down(low);
  scale.high_ = std::max(round_up(high), scale.low_ * 10);
  scale.from_ = from;
  scale.to_ = to;
  const double decades = std::log10(scale.high_ / scale.low_);
  for (double power = std::pow(10, std::floor(std::log10(scale.low_) + 1e-9));
       power <= scale.high_ * 1.000001; power *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = power * factor;
      if (factor > 1 && decades > 3.5) break;
      if (tick >= scale.low_ * 0.999999 && tick <= scale.high_ * 1.000001) {
        scale.ticks_.push_back(tick);
      }
    }
  }
  return scale;
}

double Scale::at(double value) const {
  if (std::isnan(value)) return from_;
  value = std::clamp(value, low_, high_);
  const double share =
      log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

}  // namespace perigee::sim
