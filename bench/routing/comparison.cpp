#include "comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace perigee::bench {
namespace {

// Student's t, two-sided 95 %, by degrees of freedom from 1 on.
constexpr std::array<double, 30> kStudent{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                          2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                          2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                          2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
constexpr double kNormal = 1.960;

template <class Get>
Mean mean_by(const PolicySamples& samples, Get get) {
  std::vector<double> values;
  for (const Sample& sample : samples.seeds) values.push_back(get(sample));
  return mean_of(values);
}

const PolicySamples* find(std::span<const PolicySamples> policies, const std::string& name) {
  const auto found = std::ranges::find(policies, name, &PolicySamples::policy);
  return found == policies.end() ? nullptr : &*found;
}

// Of a / b, seed by seed.
std::vector<double> ratios(const PolicySamples& a, const PolicySamples& b) {
  std::vector<double> all;
  for (std::size_t i = 0; i < std::min(a.seeds.size(), b.seeds.size()); ++i) {
    if (b.seeds[i].goodput_rps > 0) all.push_back(a.seeds[i].goodput_rps / b.seeds[i].goodput_rps);
  }
  return all;
}

}  // namespace

Mean mean_of(std::span<const double> values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / count;
  if (values.size() == 1) return {mean, std::numeric_limits<double>::infinity()};
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const std::size_t freedom = values.size() - 1;
  const double t = freedom <= kStudent.size() ? kStudent.at(freedom - 1) : kNormal;
  return {mean, t * std::sqrt(squares / static_cast<double>(freedom) / count)};
}

PolicySummary summary_of(const PolicySamples& samples) {
  return {.policy = samples.policy,
          .goodput_rps = mean_by(samples, [](const Sample& s) { return s.goodput_rps; }),
          .attainment = mean_by(samples, [](const Sample& s) { return s.attainment; }),
          .ttft_ms_p99 = mean_by(samples, [](const Sample& s) { return s.ttft_ms_p99; })};
}

const char* to_string(Place place) {
  switch (place) {
    case Place::First: return "first";
    case Place::Tied: return "tied";
    case Place::Behind: return "behind";
    case Place::Unknown: break;
  }
  return "unknown";
}

Standing standing_of(std::span<const PolicySamples> policies, const std::string& subject,
                     const std::string& bound) {
  Standing standing;
  const PolicySamples* own = find(policies, subject);
  if (own == nullptr) return standing;
  const PolicySamples* best = nullptr;
  double best_rps = 0;
  for (const PolicySamples& other : policies) {
    if (other.policy == subject || other.policy == bound) continue;
    const double rps = summary_of(other).goodput_rps.mean;
    if (best == nullptr || rps > best_rps) {
      best = &other;
      best_rps = rps;
    }
  }
  if (const PolicySamples* limit = find(policies, bound)) {
    standing.has_bound = true;
    standing.to_bound = mean_of(ratios(*own, *limit));
  }
  if (best == nullptr) return standing;
  standing.best = best->policy;
  std::vector<double> leads = ratios(*own, *best);
  for (double& lead : leads) lead -= 1;
  standing.lead = mean_of(leads);
  if (leads.size() < 2) return standing;
  standing.place = Place::Tied;
  if (standing.lead.mean > standing.lead.ci95) standing.place = Place::First;
  if (standing.lead.mean < -standing.lead.ci95) standing.place = Place::Behind;
  return standing;
}

}  // namespace perigee::bench
