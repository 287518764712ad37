#include "core/rate_share.h"

#include <algorithm>

namespace perigee {

void RateShare::move_to(Instant now) {
  const std::int64_t number = now.time_since_epoch() / kBucket;
  if (number - newest_ >= kBuckets) {
    spent_.fill(0);
    sum_ = 0;
    newest_ = number;
  }
  while (newest_ < number) {
    std::int64_t& oldest = bucket(++newest_);
    sum_ -= oldest;
    oldest = 0;
  }
}

std::int64_t RateShare::spent(Instant now) {
  move_to(now);
  return sum_ + reserved_;
}

std::int64_t RateShare::available(Instant now) { return held_ - spent(now); }

std::int64_t RateShare::spent_lately(Instant now) {
  move_to(now);
  std::int64_t lately = reserved_;
  for (std::int64_t i = 0; i <= kLately / kBucket && i <= newest_; ++i)
    lately += bucket(newest_ - i);
  return lately;
}

std::int64_t RateShare::give_back(std::int64_t keep, Instant now) {
  const std::int64_t surplus = std::clamp<std::int64_t>(available(now) - keep, 0, held_);
  held_ -= surplus;
  return surplus;
}

void RateShare::spend(std::int64_t units, Instant now) {
  move_to(now);
  bucket(newest_) += units;
  sum_ += units;
}

void RateShare::settle(std::int64_t reserved, std::int64_t used, Instant now) {
  reserved_ -= reserved;
  spend(used, now);
}

std::optional<Duration> RateShare::until(std::int64_t units, Instant now) {
  std::int64_t lacking = units - available(now);
  if (lacking <= 0) return Duration{};
  if (units > held_) return std::nullopt;
  const Duration into = now.time_since_epoch() - newest_ * kBucket;
  for (std::int64_t age = kBuckets - 1; age >= 0; --age) {  // the oldest comes back first
    if (age > newest_) continue;
    lacking -= bucket(newest_ - age);
    if (lacking <= 0) return (kBuckets - age) * kBucket - into;
  }
  return kRateWindow;  // reserved: it is not known when that ends
}

Duration RateShare::until_whole(Instant now) {
  move_to(now);
  const Duration into = now.time_since_epoch() - newest_ * kBucket;
  if (reserved_ > 0) return kRateWindow;
  for (std::int64_t age = 0; age < kBuckets && age <= newest_; ++age) {
    if (bucket(newest_ - age) > 0) return (kBuckets - age) * kBucket - into;
  }
  return Duration{};
}

}  // namespace perigee
