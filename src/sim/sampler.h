// Random variates from uniform ones, the same on every machine: the standard library's
// distributions differ between implementations.
#pragma once

#include <cstdint>

#include "base/random.h"

namespace perigee::sim {

// A number in (0, 1) that depends on nothing but its key: chance that is the same whatever else
// was drawn before.
double keyed_uniform(std::uint64_t key);
std::uint64_t mix64(std::uint64_t x);  // splitmix64's finisher

double normal_quantile(double p);  // p in (0, 1); relative error below 1e-9 (Acklam, one step)
double draw_exponential(Random& random);  // mean 1
double draw_normal(Random& random);
double draw_gamma(Random& random, double shape);    // mean = shape (Marsaglia and Tsang)
double draw_weibull(Random& random, double shape);  // mean 1
// exp(normal) with the given mean and the standard deviation of its logarithm.
double draw_lognormal(Random& random, double mean, double sigma);
// 1, 2, ... with the given mean (>= 1).
std::uint32_t draw_geometric(Random& random, double mean);
// The shape at which a Weibull variate has this coefficient of variation (0.2 .. 10).
double weibull_shape(double cv);

}  // namespace perigee::sim
