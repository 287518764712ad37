// Network: how long messages between sites take, and which sites are near. Chance is keyed by the
// message, so that it is the same under every policy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/event_queue.h"
#include "sim/scenario.h"

namespace perigee::sim {

// JSON of a prompt: some 4 bytes per token; an answer's event carries one token in some 200.
inline constexpr double kBytesPerPromptToken = 4;
inline constexpr double kBytesPerAnswerToken = 200;
inline constexpr double kBytesPerMessage = 1'000;  // heads

class Network {
 public:
  struct Neighbour {
    std::uint32_t site = 0;
    float rtt_ms = 0;
  };
  // `serving`: by site, whether it has engines; only those are neighbours.
  Network(const Scenario& scenario, const std::vector<bool>& serving, std::uint64_t seed);

  double rtt_ms(std::uint32_t a, std::uint32_t b) const;
  // The nearest serving sites but itself, nearest first, at most neighbours_max.
  std::span<const Neighbour> neighbours(std::uint32_t site) const;
  // The nearest other site of any kind, by round trip; `skip` names sites that don't count.
  std::uint32_t nearest(std::uint32_t site, const std::vector<bool>& skip) const;
  // One way of a message of `bytes` from `from` that leaves now; takes its turn on the uplink.
  Nanos one_way(std::uint32_t from, std::uint32_t to, double bytes, std::uint64_t key, Nanos now);

 private:
  struct Point {
    float x = 0, y = 0, z = 0;
  };
  double law(std::uint32_t a, std::uint32_t b) const;

  NetworkSpec spec_;
  std::uint64_t seed_;
  std::vector<Point> points_;  // on the unit sphere
  std::vector<float> matrix_;  // rtt_ms by pair, when pairs are given
  std::vector<Neighbour> neighbours_;
  std::vector<std::uint32_t> first_;  // of each site, in neighbours_
  std::vector<Nanos> uplink_free_;
};

double great_circle_km(double latitude_a, double longitude_a, double latitude_b,
                       double longitude_b);

}  // namespace perigee::sim
