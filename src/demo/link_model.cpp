#include "demo/link_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace perigee::demo {
namespace {

constexpr double kEarthRadiusKm = 6371.0;

double radians(double degrees) { return degrees * std::numbers::pi / 180.0; }

}  // namespace

double great_circle_km(const GeoPoint& a, const GeoPoint& b) {
  const double half_latitude = radians(b.latitude - a.latitude) / 2;
  const double half_longitude = radians(b.longitude - a.longitude) / 2;
  const double h = std::pow(std::sin(half_latitude), 2) + std::cos(radians(a.latitude)) *
                                                              std::cos(radians(b.latitude)) *
                                                              std::pow(std::sin(half_longitude), 2);
  return 2 * kEarthRadiusKm * std::asin(std::sqrt(std::clamp(h, 0.0, 1.0)));
}

Duration one_way_delay(const GeoPoint& a, const GeoPoint& b) {
  return from_ms(kHopMs + great_circle_km(a, b) * kFibreDetour / kFibreKmPerMs);
}

LinkQuality link_between(const GeoPoint& a, const GeoPoint& b) {
  LinkQuality quality;
  quality.delay = one_way_delay(a, b);
  quality.jitter_max = from_ms(to_ms(quality.delay) * kJitterPart);
  return quality;
}

Instant LinkModel::arrival(std::size_t bytes, Instant now) {
  const double transmission_ms = static_cast<double>(bytes) / quality_.bytes_per_s * 1000;
  sent_ = std::max(sent_, now) + from_ms(transmission_ms);
  const Duration jitter = from_ms(to_ms(quality_.jitter_max) * random_.uniform());
  last_ = std::max(last_, sent_ + delay() + jitter);
  return last_;
}

std::optional<Instant> LinkModel::release(Instant arrival) const {
  if (cut_) return std::nullopt;
  return std::max(arrival, resumed_);
}

void LinkModel::damage(std::span<char> bytes) {
  if (corrupt_share_ <= 0 || bytes.empty() || random_.uniform() >= corrupt_share_) return;
  const std::uint64_t bit = random_.below(bytes.size() * 8);
  char& byte = bytes[bit / 8];
  byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (bit % 8)));
  ++damaged_;
}

void LinkModel::heal(Instant now) {
  if (!cut_) return;
  cut_ = false;
  resumed_ = now + delay();
}

}  // namespace perigee::demo
