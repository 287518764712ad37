#include "base/clock.h"

namespace perigee {

Instant SystemClock::now() const {
  return Instant{
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

WallTime SystemClock::wall() const {
  return WallTime{
      std::chrono::duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count()};
}

}  // namespace perigee
