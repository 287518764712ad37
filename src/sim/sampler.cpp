#include "sim/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace perigee::sim {
namespace {

double open_uniform(Random& random) {  // (0, 1)
  return (static_cast<double>(random.next() >> 12) + 0.5) * 0x1.0p-52;
}

// Acklam's rational approximations, |relative error| < 1.15e-9.
constexpr std::array<double, 6> kA{-3.969683028665376e+01, 2.209460984245205e+02,
                                   -2.759285104469687e+02, 1.383577518672690e+02,
                                   -3.066479806614716e+01, 2.506628277459239e+00};
constexpr std::array<double, 5> kB{-5.447609879822406e+01, 1.615858368580409e+02,
                                   -1.556989798598866e+02, 6.680131188771972e+01,
                                   -1.328068155288572e+01};
constexpr std::array<double, 6> kC{-7.784894002430293e-03, -3.223964580411365e-01,
                                   -2.400758277161838e+00, -2.549732539343734e+00,
                                   4.374664141464968e+00,  2.938163982698783e+00};
constexpr std::array<double, 4> kD{7.784695709041462e-03, 3.224671290700398e-01,
                                   2.445134137142996e+00, 3.754408661907416e+00};

double tail(double q) {
  return (((((kC[0] * q + kC[1]) * q + kC[2]) * q + kC[3]) * q + kC[4]) * q + kC[5]) /
         ((((kD[0] * q + kD[1]) * q + kD[2]) * q + kD[3]) * q + 1);
}

}  // namespace

std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

double keyed_uniform(std::uint64_t key) {
  return (static_cast<double>(mix64(key) >> 12) + 0.5) * 0x1.0p-52;
}

double normal_quantile(double p) {
  constexpr double kLow = 0.02425;
  if (p < kLow) return tail(std::sqrt(-2 * std::log(p)));
  if (p > 1 - kLow) return -tail(std::sqrt(-2 * std::log(1 - p)));
  const double q = p - 0.5;
  const double r = q * q;
  return (((((kA[0] * r + kA[1]) * r + kA[2]) * r + kA[3]) * r + kA[4]) * r + kA[5]) * q /
         (((((kB[0] * r + kB[1]) * r + kB[2]) * r + kB[3]) * r + kB[4]) * r + 1);
}

double draw_exponential(Random& random) { return -std::log(open_uniform(random)); }

double draw_normal(Random& random) { return normal_quantile(open_uniform(random)); }

double draw_gamma(Random& random, double shape) {
  if (shape < 1) {
    const double boost = std::pow(open_uniform(random), 1 / shape);
    return draw_gamma(random, shape + 1) * boost;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = draw_normal(random);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    const double u = open_uniform(random);
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double draw_weibull(Random& random, double shape) {
  return std::pow(draw_exponential(random), 1 / shape) / std::tgamma(1 + 1 / shape);
}

double draw_lognormal(Random& random, double mean, double sigma) {
  return mean * std::exp(sigma * draw_normal(random) - 0.5 * sigma * sigma);
}

std::uint32_t draw_geometric(Random& random, double mean) {
  if (mean <= 1) return 1;
  const double n = 1 + std::floor(std::log(open_uniform(random)) / std::log(1 - 1 / mean));
  return static_cast<std::uint32_t>(std::clamp(n, 1.0, 1e6));
}

double weibull_shape(double cv) {
  double low = 0.15;
  double high = 20;
  for (int i = 0; i < 60; ++i) {
    const double shape = 0.5 * (low + high);
    const double mean = std::tgamma(1 + 1 / shape);
    const double square = std::tgamma(1 + 2 / shape);
    (std::sqrt(square / (mean * mean) - 1) > cv ? low : high) = shape;
  }
  return 0.5 * (low + high);
}

}  // namespace perigee::sim
