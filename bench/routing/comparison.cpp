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

double student(std::size_t freedom) {
  return freedom <= kStudent.size() ? kStudent.at(freedom - 1) : kNormal;
}

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

std::vector<double> goodput(const PolicySamples& samples) {
  std::vector<double> all;
  for (const Sample& sample : samples.seeds) all.push_back(sample.goodput_rps);
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
  return {mean, student(freedom) * std::sqrt(squares / static_cast<double>(freedom) / count)};
}

Mean ratio_of(std::span<const double> a, std::span<const double> b) {
  const double below = mean_of(b).mean;
  if (below <= 0) return {0, std::numeric_limits<double>::infinity()};
  const double ratio = mean_of(a).mean / below;
  std::vector<double> residuals;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    residuals.push_back(a[i] - ratio * b[i]);
  }
  return {ratio, mean_of(residuals).ci95 / below};
}

PolicySummary summary_of(const PolicySamples& samples) {
  return {.policy = samples.policy,
          .goodput_rps = mean_by(samples, [](const Sample& s) { return s.goodput_rps; }),
          .attainment = mean_by(samples, [](const Sample& s) { return s.attainment; }),
          .refused = mean_by(samples, [](const Sample& s) { return s.refused; }),
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

Standing standing_of(std::span<const PolicySamples> policies, const Roles& roles) {
  Standing standing;
  const PolicySamples* own = find(policies, roles.subject);
  if (own == nullptr) return standing;
  const PolicySamples* best = nullptr;
  double best_rps = 0;
  for (const PolicySamples& other : policies) {
    const bool aside = std::ranges::find(roles.aside, other.policy) != roles.aside.end();
    if (aside || other.policy == roles.subject || other.policy == roles.bound) continue;
    const double rps = mean_of(goodput(other)).mean;
    if (best == nullptr || rps > best_rps) {
      best = &other;
      best_rps = rps;
    }
  }
  if (const PolicySamples* bound = find(policies, roles.bound)) {
    standing.has_bound = true;
    standing.to_bound = ratio_of(goodput(*own), goodput(*bound));
  }
  if (best == nullptr) return standing;
  standing.best = best->policy;
  standing.lead = ratio_of(goodput(*own), goodput(*best));
  standing.lead.mean -= 1;
  if (!std::isfinite(standing.lead.ci95)) return standing;
  standing.place = Place::Tied;
  if (standing.lead.mean > standing.lead.ci95) standing.place = Place::First;
  if (standing.lead.mean < -standing.lead.ci95) standing.place = Place::Behind;
  return standing;
}

}  // namespace perigee::bench
