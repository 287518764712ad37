// Random: small, fast, seeded pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018, seeded
// by splitmix64). Deterministic on every machine. Not for secrets: see base/secret.h.
#pragma once

#include <array>
#include <cstdint>

namespace perigee {

class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();                      // uniform in [0, 2^64)
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound); bound > 0
  double uniform();                          // uniform in [0, 1)

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace perigee
