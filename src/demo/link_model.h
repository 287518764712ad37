// LinkModel: one direction of an emulated wide-area link, as arithmetic in virtual time. It says
// when bytes that enter now come out at the far end; relay.h moves the real bytes by it.
//
// What a link does to a byte, in this order:
//   bandwidth  bytes leave one after the other at `bytes_per_s`, shared by all connections;
//   delay      light in fibre, plus routers (one_way_delay), plus what slow() adds;
//   jitter     a seeded random wait up to `jitter_max`; a later byte never overtakes an earlier
//   one; cut        nothing comes out. TCP holds what was lost and sends it again, so the bytes
//   come out
//              after heal(), a delay later;
//   corrupt    a bit of some pieces is flipped.
// No IO, no clock; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/instant.h"
#include "base/random.h"

namespace perigee::demo {

// Degrees, WGS 84.
struct GeoPoint {
  double latitude = 0;
  double longitude = 0;
};

// Light in fibre: the vacuum's 299.8 km/ms divided by a refractive index of 1.47, rounded.
inline constexpr double kFibreKmPerMs = 200.0;
// Cables follow roads, rings and coasts: between cloud regions at most 3,000 km apart, published
// round trips grow 1.7 times faster with distance than light in a straight fibre.
inline constexpr double kFibreDetour = 1.7;
// Routers, switches and aggregation, whatever the distance: data centres of one city are seen 0.3
// to 2 ms of round trip apart.
inline constexpr double kHopMs = 0.5;  // one way
// Jitter on a link that is not overloaded: a small part of its delay.
inline constexpr double kJitterPart = 0.05;
inline constexpr double kLinkBytesPerSecond = 125e6;  // 1 Gbit/s

double great_circle_km(const GeoPoint& a, const GeoPoint& b);
Duration one_way_delay(const GeoPoint& a, const GeoPoint& b);

struct LinkQuality {
  Duration delay{};                          // one way
  Duration jitter_max{};                     // uniform in [0, jitter_max]
  double bytes_per_s = kLinkBytesPerSecond;  // > 0
};
// What the constants above give for two places.
LinkQuality link_between(const GeoPoint& a, const GeoPoint& b);

class LinkModel {
 public:
  LinkModel(LinkQuality quality, std::uint64_t seed) : quality_(quality), random_(seed) {}

  // Puts `bytes` on the link at `now` (never less than in the call before) and returns when the
  // last of them comes out, cuts aside. Never less than what the call before returned.
  Instant arrival(std::size_t bytes, Instant now);
  // When bytes due at `arrival` may really come out; nullopt while the link is cut.
  std::optional<Instant> release(Instant arrival) const;

  // One way, without jitter: what a lone byte needs.
  Duration delay() const { return quality_.delay + added_; }

  void cut() { cut_ = true; }
  void heal(Instant now);
  bool is_cut() const { return cut_; }
  // From now on that share (0..1) of the pieces that enter have one bit flipped, which TCP's
  // checksum missed or which a bad card made after it was checked; zero ends it.
  void corrupt(double share) { corrupt_share_ = share; }
  double corrupt_share() const { return corrupt_share_; }
  // Flips a bit of `bytes` if this piece is one of those.
  void damage(std::span<char> bytes);
  std::uint64_t damaged() const { return damaged_; }  // pieces, ever
  // Adds to the delay of what enters from now on; replaces what was added before; zero restores.
  void slow(Duration added) { added_ = added; }
  Duration added() const { return added_; }

 private:
  LinkQuality quality_;
  Random random_;
  Duration added_{};
  bool cut_ = false;
  double corrupt_share_ = 0;
  std::uint64_t damaged_ = 0;
  Instant sent_{};     // when the link is free again
  Instant last_{};     // the latest arrival promised
  Instant resumed_{};  // nothing comes out earlier: the end of the last cut, plus the delay
};

}  // namespace perigee::demo
