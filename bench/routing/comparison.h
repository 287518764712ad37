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
  double attainment = 0;  // share of all requests served in time
  double refused = 0;     // share of all requests told so
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
  Mean refused;
  Mean ttft_ms_p99;
};
PolicySummary summary_of(const PolicySamples& samples);

enum class Place : std::uint8_t { First, Tied, Behind, Unknown };
const char* to_string(Place place);

// Mean of `a` / mean of `b`, whose values belong together one by one: the noise that both share
// falls out (ratio estimator). Infinite interval with one pair or when `b` is zero.
Mean ratio_of(std::span<const double> a, std::span<const double> b);

// How `subject` stands, by goodput. All policies ran the same seeds.
struct Standing {
  std::string best;              // baseline with the largest mean
  Mean lead;                     // subject / best - 1
  Place place = Place::Unknown;  // First, Behind: the interval of `lead` is on one side of zero;
                                 // Tied: zero is in it; Unknown: one seed, or nothing to compare
  bool has_bound = false;
  Mean to_bound;  // subject / bound
};
struct Roles {
  std::string subject;
  std::string bound;
  std::vector<std::string> aside;  // shown, but neither subject nor baseline
};
Standing standing_of(std::span<const PolicySamples> policies, const Roles& roles);

}  // namespace perigee::bench
