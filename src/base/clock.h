// Clock: the one way the shell reads time. The core never sees a Clock: it takes an Instant.
#pragma once

#include "base/instant.h"

namespace perigee {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;    // monotonic
  virtual WallTime wall() const = 0;  // calendar, may jump
};

// The machine's clocks. Thread-safe, no allocation.
class SystemClock final : public Clock {
 public:
  Instant now() const override;
  WallTime wall() const override;
};

// A clock that a test or the simulator moves by hand. Not thread-safe.
class ManualClock final : public Clock {
 public:
  Instant now() const override { return now_; }
  WallTime wall() const override { return WallTime{now_.time_since_epoch().count() / 1000}; }
  void advance(Duration by) { now_ += by; }
  void advance_to(Instant to) { now_ = to; }

 private:
  Instant now_{};
};

}  // namespace perigee
