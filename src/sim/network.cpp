#include "sim/network.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "sim/sampler.h"

namespace perigee::sim {
namespace {

constexpr double kEarthRadius_km = 6371.0088;
// A lost message is sent again when the sender's tail loss probe fires: after two round trips
// (RFC 8985), and 10 ms for short ones.
constexpr double kProbeRoundTrips = 2;
constexpr double kProbeLeast_ms = 10;

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

}  // namespace

double great_circle_km(double latitude_a, double longitude_a, double latitude_b,
                       double longitude_b) {
  const double phi_a = radians(latitude_a);
  const double phi_b = radians(latitude_b);
  const double s = std::sin((phi_b - phi_a) / 2);
  const double t = std::sin(radians(longitude_b - longitude_a) / 2);
  const double h = s * s + std::cos(phi_a) * std::cos(phi_b) * t * t;
  return 2 * kEarthRadius_km * std::asin(std::min(1.0, std::sqrt(h)));
}

Network::Network(const Scenario& scenario, const std::vector<bool>& serving, std::uint64_t seed)
    : spec_(scenario.network), seed_(seed), uplink_free_(scenario.sites.size(), 0) {
  const auto count = static_cast<std::uint32_t>(scenario.sites.size());
  points_.reserve(count);
  for (const SiteSpec& site : scenario.sites) {
    const double phi = radians(site.latitude);
    const double lambda = radians(site.longitude);
    points_.push_back({static_cast<float>(std::cos(phi) * std::cos(lambda)),
                       static_cast<float>(std::cos(phi) * std::sin(lambda)),
                       static_cast<float>(std::sin(phi))});
  }
  if (!spec_.pairs.empty()) {
    matrix_.resize(std::size_t{count} * count);
    for (std::uint32_t a = 0; a < count; ++a) {
      for (std::uint32_t b = 0; b < count; ++b) {
        matrix_[std::size_t{a} * count + b] = static_cast<float>(a == b ? 0 : law(a, b));
      }
    }
    for (const RttPair& pair : spec_.pairs) {
      const double rtt =
          pair.km >= 0 ? spec_.rtt_base_ms + spec_.rtt_ms_per_km * pair.km : pair.rtt_ms;
      matrix_[std::size_t{pair.a} * count + pair.b] = static_cast<float>(rtt);
      matrix_[std::size_t{pair.b} * count + pair.a] = static_cast<float>(rtt);
    }
  }
  std::vector<Neighbour> all;
  first_.reserve(count + 1);
  for (std::uint32_t site = 0; site < count; ++site) {
    first_.push_back(static_cast<std::uint32_t>(neighbours_.size()));
    all.clear();
    for (std::uint32_t other = 0; other < count; ++other) {
      if (other == site || !serving[other]) continue;
      all.push_back({other, static_cast<float>(rtt_ms(site, other))});
    }
    const std::size_t kept = std::min<std::size_t>(all.size(), spec_.neighbours_max);
    const auto nearer = [](const Neighbour& x, const Neighbour& y) {
      return x.rtt_ms != y.rtt_ms ? x.rtt_ms < y.rtt_ms : x.site < y.site;
    };
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(),
                      nearer);
    neighbours_.insert(neighbours_.end(), all.begin(),
                       all.begin() + static_cast<std::ptrdiff_t>(kept));
  }
  first_.push_back(static_cast<std::uint32_t>(neighbours_.size()));
}

double Network::law(std::uint32_t a, std::uint32_t b) const {
  if (spec_.rtt_ms > 0) return spec_.rtt_ms;
  const Point& p = points_[a];
  const Point& q = points_[b];
  const double dx = p.x - q.x;
  const double dy = p.y - q.y;
  const double dz = p.z - q.z;
  const double chord = std::sqrt(dx * dx + dy * dy + dz * dz);
  const double km = 2 * kEarthRadius_km * std::asin(std::min(1.0, chord / 2));
  return spec_.rtt_base_ms + spec_.rtt_ms_per_km * km;
}

double Network::rtt_ms(std::uint32_t a, std::uint32_t b) const {
  if (a == b) return 0;
  if (!matrix_.empty()) return static_cast<double>(matrix_[std::size_t{a} * points_.size() + b]);
  return law(a, b);
}

std::span<const Network::Neighbour> Network::neighbours(std::uint32_t site) const {
  return std::span{neighbours_}.subspan(first_[site], first_[site + 1] - first_[site]);
}

std::uint32_t Network::nearest(std::uint32_t site, const std::vector<bool>& skip) const {
  std::uint32_t best = site;
  double best_rtt = 0;
  for (std::uint32_t other = 0; other < points_.size(); ++other) {
    if (other == site || skip[other]) continue;
    const double rtt = rtt_ms(site, other);
    if (best == site || rtt < best_rtt) {
      best = other;
      best_rtt = rtt;
    }
  }
  return best;
}

Nanos Network::one_way(std::uint32_t from, std::uint32_t to, double bytes, std::uint64_t key,
                       Nanos now) {
  const double rtt = rtt_ms(from, to);
  const std::uint64_t base = mix64(seed_ ^ mix64(key));
  double ms = rtt / 2;
  if (spec_.jitter > 0) ms -= rtt / 2 * spec_.jitter * std::log(keyed_uniform(base));
  if (spec_.loss > 0) {
    for (std::uint64_t i = 1; i < 8 && keyed_uniform(base + i) < spec_.loss; ++i) {
      ms += kProbeRoundTrips * rtt + kProbeLeast_ms;
    }
  }
  const Nanos send = static_cast<Nanos>(bytes * 8e3 / spec_.uplink_mbps + 0.5);  // ns
  uplink_free_[from] = std::max(uplink_free_[from], now) + send;
  return uplink_free_[from] - now + nanos_from_ms(ms);
}

}  // namespace perigee::sim
