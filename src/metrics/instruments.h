// Counter, Gauge and Histogram: one number, or one distribution, of one set of label values.
// Written and read on one thread: plain integers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace perigee::metrics {

// Only grows; starts at 0 when the process does.
class Counter {
 public:
  void add(std::uint64_t by = 1) { value_ += by; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

class Gauge {
 public:
  void set(double value) { value_ = value; }
  void add(double by) { value_ += by; }
  double value() const { return value_; }

 private:
  double value_ = 0;
};

// Counts observations by upper bound (inclusive). What isn't a number is not counted.
class Histogram {
 public:
  // `bounds` ascend and are finite; they must outlive the histogram (see buckets.h).
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(bounds.size() + 1) {}
  void observe(double value);
  std::span<const double> bounds() const { return bounds_; }
  // One more than there are bounds; each counts its own bucket only.
  std::span<const std::uint64_t> counts() const { return counts_; }
  double sum() const { return sum_; }
  std::uint64_t count() const { return count_; }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace perigee::metrics
