// Online estimates of how fast a candidate is, from how its attempts went.
//
// Both are Kalman filters whose quantity drifts as an Ornstein-Uhlenbeck process round a prior:
// with no news, mean and variance return to the prior's with time constant kForgetting. So an old
// observation loses weight smoothly, and the variance says honestly how little is known again.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/instant.h"

namespace perigee {

// 10 minutes: long against the noise of single requests, short against a change of hardware or
// neighbours. Lodestar's online predictor needs about 5 minutes to learn a fleet.
inline constexpr Duration kForgetting = std::chrono::minutes{10};
// An observation further off than this many standard deviations counts as this far off...
inline constexpr double kOutlierDeviations = 3;
// ...unless so many come in a row: then the candidate has changed, and what was known is dropped.
inline constexpr std::uint32_t kOutliersMax = 3;

// The same when so many in a row err to the same side by more than their uncertainty explains: a
// chance of 0.2 % for honest noise.
inline constexpr int kOneSidedMax = 10;

// Rate of a candidate that publishes none: SMG's default throughput, 2,000 tokens/s.
inline constexpr double kRateDefault_tokens_per_s = 2'000;
// Overhead before anything was observed: parsing, templates, one engine step; and how unsure that
// is.
inline constexpr double kOverheadPrior_ms = 5;
inline constexpr double kOverheadDeviation_ms = 20;
inline constexpr double kOverheadVariance = kOverheadDeviation_ms * kOverheadDeviation_ms;
// How unsure a published rate is, and a default one, as a share of it.
inline constexpr double kPublishedDeviation = 0.5;
inline constexpr double kDefaultDeviation = 1.0;

// exp(-elapsed / kForgetting). A plan asks twice per candidate, mostly for short times, where four
// terms of the series are exact to 1e-8.
inline double kept_share(Instant since, Instant now) {
  constexpr double kRate = 1 / static_cast<double>(kForgetting.count());
  constexpr double kSeriesMost = 1.0 / 16;
  if (now <= since) return 1;
  const double x = static_cast<double>((now - since).count()) * kRate;
  if (x > kSeriesMost) return std::exp(-x);
  return 1 - x * (1 - x * (1.0 / 2) * (1 - x * (1.0 / 3) * (1 - x * (1.0 / 4))));
}

// One quantity, e.g. expected output tokens of a model.
class ScalarEstimate {
 public:
  struct Options {
    double mean = 0;       // prior
    double deviation = 1;  // prior, one standard deviation
    double noise = 1;      // of one observation, one standard deviation
    double least = 0;      // bounds of the mean
    double most = 1;
  };
  // `options` must outlive the estimate: one constant serves many.
  explicit ScalarEstimate(const Options* options);
  double mean(Instant now) const {
    if (mean_ == options_->mean) return mean_;
    return options_->mean + (mean_ - options_->mean) * kept_share(updated_, now);
  }
  double variance(Instant now) const;
  void observe(double value, Instant now);

 private:
  const Options* options_;
  double mean_;
  double variance_;
  Instant updated_{};
};

// Priors that router and admission share.
// A published time per token is usually right to a few tens of percent; one request's is noisy.
inline constexpr ScalarEstimate::Options kTpotFactor{
    .mean = 1, .deviation = 0.5, .noise = 0.2, .least = 0.05, .most = 50};
// 200: the mean answer of the public conversation traces is 211 and 343 tokens.
inline constexpr ScalarEstimate::Options kOutputTokens{
    .mean = 200, .deviation = 200, .noise = 200, .least = 1, .most = 1e6};
// Time per token where none is published: measured decode steps of 8B models at small batches are 6
// to 23 ms on current GPUs, more on CPUs.
inline constexpr double kTpotDefault_ms = 30;

// Time to the first token as overhead + tokens * ms_per_token, where `tokens` are those to be
// prefilled: queued ahead and own. Recursive least squares over the two with the drift above.
class PrefillEstimate {
 public:
  struct Value {
    double overhead_ms;
    double ms_per_token;
    double overhead_variance;
    double covariance;
    double token_variance;
    // Variance of overhead + tokens * ms_per_token.
    double variance(double tokens) const {
      return overhead_variance + tokens * (2 * covariance + tokens * token_variance);
    }
  };

  PrefillEstimate();
  // The site's own word on its prefill rate; 0: it says nothing. Moves the prior, and the mean as
  // long as nothing was observed.
  void seed(double tokens_per_s);
  Value at(Instant now) const {
    if (!observed_) return mean_;
    const double keep = kept_share(updated_, now);
    const double keep_variance = keep * keep;
    return {.overhead_ms = kOverheadPrior_ms + (mean_.overhead_ms - kOverheadPrior_ms) * keep,
            .ms_per_token = prior_ms_per_token_ + (mean_.ms_per_token - prior_ms_per_token_) * keep,
            .overhead_variance =
                kOverheadVariance + (mean_.overhead_variance - kOverheadVariance) * keep_variance,
            .covariance = mean_.covariance * keep_variance,
            .token_variance = prior_token_variance_ +
                              (mean_.token_variance - prior_token_variance_) * keep_variance};
  }
  // `noise_ms`: standard deviation that this observation has beyond the usual.
  void observe(double tokens, double ms, double noise_ms, Instant now);
  // Of a single observation beyond the uncertainty of the value.
  double noise_variance() const { return noise_variance_; }

 private:
  Value mean_;
  double prior_ms_per_token_;
  double prior_token_variance_;
  double noise_variance_;  // of residuals, running
  Instant updated_{};
  std::uint32_t outliers_ = 0;  // in a row
  int one_sided_ = 0;           // errors to one side in a row: above (positive) or below
  bool observed_ = false;
};

}  // namespace perigee
