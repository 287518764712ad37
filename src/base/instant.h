// Instant and Duration: time inside Perigee. An Instant is monotonic and has no relation to the
// calendar; WallTime is for people and records. Only base/system_clock.cpp reads a real clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace perigee {

using Duration = std::chrono::nanoseconds;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct InstantClock {  // names the time line of Instant; has no now() on purpose
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  static constexpr bool is_steady = true;
};
using Instant = std::chrono::time_point<InstantClock, Duration>;

// Microseconds since 1970-01-01T00:00:00Z.
struct WallTime {
  std::int64_t micros = 0;
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

inline double to_ms(Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }
inline double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
inline Duration from_ms(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

}  // namespace perigee
