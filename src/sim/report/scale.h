// Scale: from values to coordinates of a plot, with round ticks.
#pragma once

#include <vector>

namespace perigee::sim {

class Scale {
 public:
  // `low` and `high` are of the data; what is not finite, empty or (on a log scale) not above zero
  // is replaced by something plottable. A linear scale ends at round numbers, a log scale at powers
  // of ten or their halves and fifths. `from` and `to` are coordinates, in either order.
  static Scale linear(double low, double high, double from, double to);
  static Scale logarithmic(double low, double high, double from, double to);

  // Clamped to the scale.
  double at(double value) const;
  const std::vector<double>& ticks() const { return ticks_; }
  bool is_log() const { return log_; }
  double low() const { return low_; }
  double high() const { return high_; }
  double from() const { return from_; }
  double to() const { return to_; }

 private:
  bool log_ = false;
  double low_ = 0;
  double high_ = 1;
  double from_ = 0;
  double to_ = 1;
  std::vector<double> ticks_;
};

}  // namespace perigee::sim
