// A batch of trials: many seeds, on several threads, and whether they have seen enough.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/trial/trial.h"

namespace perigee::sim {

struct BatchOptions {
  std::uint64_t first = 1;
  std::uint64_t seeds = 10'000;
  std::uint32_t jobs = 1;  // threads
  Defect defect = Defect::None;
  // Told now and then how many are done and how many of them failed; from any thread, one at a
  // time. May be empty.
  std::function<void(std::uint64_t done, std::uint64_t failed)> progress;
};

struct BatchResult {
  std::uint64_t seeds = 0;
  std::uint64_t digest = 0;  // over the trials' digests, in the order of their seeds
  std::uint64_t events = 0;
  std::uint64_t tokens = 0;
  double virtual_s = 0;
  std::array<std::uint64_t, kRequestEnds> requests{};
  Probes probes;
  std::uint64_t failed = 0;           // seeds with findings
  std::vector<TrialResult> failures;  // of the first kFailuresMax of them, by seed
  // Seeds that were run twice, and those whose second run had another digest.
  std::uint64_t repeated = 0;
  std::vector<std::uint64_t> unrepeatable;

  // Probes that were never hit: the batch was blind for them.
  std::vector<Probe> blind() const;
  bool held() const { return failed == 0 && unrepeatable.empty(); }
};
inline constexpr std::size_t kFailuresMax = 100;
// One seed in so many is run twice: the digests must be the same.
inline constexpr std::uint64_t kRepeatEvery = 10;

BatchResult run_trials(const BatchOptions& options);

}  // namespace perigee::sim
