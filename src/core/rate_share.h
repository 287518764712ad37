// RateShare: what one site may spend of one limit per minute. The whole grid keeps the limit
// because the shares of all sites together are never more than it (core/rate_book.h) and each site
// keeps its own: it never has more than its share spent within any minute.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/instant.h"

namespace perigee {

inline constexpr Duration kRateWindow = seconds{60};

// A unit is a request or a token. What is spent comes back a window later, counted in buckets of a
// second and therefore up to a second late, never early. `now` must not go back.
class RateShare {
 public:
  std::int64_t held() const { return held_; }
  // Of what is held, what can be spent now. Negative while more was used than was foreseen.
  std::int64_t available(Instant now);
  std::int64_t spent(Instant now);         // within the window, and what is reserved
  std::int64_t spent_lately(Instant now);  // in the last kLately
  static constexpr Duration kLately = seconds{10};

  void grant(std::int64_t units) { held_ += units; }
  // Takes what is available beyond `keep` out of the share, for others to be granted; returns it.
  std::int64_t give_back(std::int64_t keep, Instant now);
  void spend(std::int64_t units, Instant now);
  // For what takes a while and is known at its end only: reserve(), then settle() with what it was.
  void reserve(std::int64_t units) { reserved_ += units; }
  void settle(std::int64_t reserved, std::int64_t used, Instant now);

  // Until `units` could be available, as far as this site's own spending goes; nothing when its
  // share is too small for that.
  std::optional<Duration> until(std::int64_t units, Instant now);
  // Until all that was spent has come back.
  Duration until_whole(Instant now);
  bool idle(Instant now) { return held_ == 0 && spent(now) == 0; }

 private:
  static constexpr Duration kBucket = seconds{1};
  static constexpr std::int64_t kBuckets = 61;  // the current one and a window of whole ones
  void move_to(Instant now);
  std::int64_t& bucket(std::int64_t number) {
    return spent_.at(static_cast<std::size_t>(number % kBuckets));
  }
  std::int64_t held_ = 0;
  std::int64_t reserved_ = 0;
  std::int64_t sum_ = 0;     // of spent_
  std::int64_t newest_ = 0;  // number of the current bucket, counted from the clock's beginning
  std::array<std::int64_t, kBuckets> spent_{};
};

}  // namespace perigee
