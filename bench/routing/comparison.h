// What several runs of one scenario say about its policies: means with 95 % intervals, and how one
// policy stands against the others. Pure arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace perigee::bench {

// A mean over seeds. The interval is mean +- ci95 by Student's t; infinite with one value.
struct Mean {
  double mean = 0;
  double ci95 = 0;
};
Mean mean_of(std::span<const double> values);

// What one run with one seed showed.
struct Sample {
  double goodput_rps = 0;
  double attainment = 0;
  double ttft_ms_p99 = 0;
};

// Samples of one policy, one per seed, in the same order for every policy.
struct PolicySamples {
  std::string policy;
  std::vector<Sample> seeds;
};

struct PolicySummary {
  std::string policy;
  Mean goodput_rps;
  Mean attainment;
  Mean ttft_ms_p99;
};
PolicySummary summary_of(const PolicySamples& samples);

enum class Place : std::uint8_t { First, Tied, Behind, Unknown };
const char* to_string(Place place);

// How `subject` stands. All policies ran the same seeds, so that what is compared is the
// difference seed by seed: the noise that all of them share falls out.
struct Standing {
  std::string best;              // baseline with the largest mean goodput
  Mean lead;                     // mean of subject / best - 1
  Place place = Place::Unknown;  // First, Behind: the interval of `lead` is on one side of zero;
                                 // Tied: zero is in it; Unknown: one seed, or nothing to compare
  bool has_bound = false;
  Mean to_bound;  // mean of subject / bound
};
Standing standing_of(std::span<const PolicySamples> policies, const std::string& subject,
                     const std::string& bound);

}  // namespace perigee::bench
