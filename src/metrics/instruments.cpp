#include "metrics/instruments.h"

#include <algorithm>
#include <cmath>

namespace perigee::metrics {

void Histogram::observe(double value) {
  if (std::isnan(value)) return;
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += value;
  ++count_;
}

}  // namespace perigee::metrics
