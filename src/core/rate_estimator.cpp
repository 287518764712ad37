#include "core/rate_estimator.h"

#include <algorithm>
#include <cmath>

namespace perigee {
namespace {

constexpr double kMsPerTokenLeast = 1e-4;  // ten million tokens/s
constexpr double kMsPerTokenMost = 1e3;    // one token/s
constexpr double kOverheadMost_ms = 60'000;
constexpr double kObservedMost_ms = 600'000;
constexpr double kTokensMost = 1e9;
constexpr double kNoiseLeast_ms = 1;
constexpr double kNoiseShare = 0.05;      // of the observed time
constexpr double kNoiseAdaptation = 0.1;  // weight of the newest residual
constexpr double kNoisePriorVariance = 25;

double square(double x) { return x * x; }

}  // namespace

ScalarEstimate::ScalarEstimate(const Options* options)
    : options_(options), mean_(options->mean), variance_(square(options->deviation)) {}

double ScalarEstimate::variance(Instant now) const {
  const double prior = square(options_->deviation);
  return prior + (variance_ - prior) * square(kept_share(updated_, now));
}

void ScalarEstimate::observe(double value, Instant now) {
  if (!std::isfinite(value)) return;
  const double before = mean(now);
  const double spread = variance(now);
  const double total = spread + square(options_->noise);
  const double far = kOutlierDeviations * std::sqrt(total);
  const double residual = std::clamp(value - before, -far, far);
  mean_ = std::clamp(before + residual * spread / total, options_->least, options_->most);
  variance_ = spread * (1 - spread / total);
  updated_ = std::max(updated_, now);
}

PrefillEstimate::PrefillEstimate()
    : mean_{.overhead_ms = kOverheadPrior_ms,
            .ms_per_token = 0,
            .overhead_variance = kOverheadVariance,
            .covariance = 0,
            .token_variance = 0},
      prior_ms_per_token_(0),
      prior_token_variance_(0),
      noise_variance_(kNoisePriorVariance) {
  seed(0);
}

void PrefillEstimate::seed(double tokens_per_s) {
  const bool published = std::isfinite(tokens_per_s) && tokens_per_s > 0;
  const double rate = published ? tokens_per_s : kRateDefault_tokens_per_s;
  prior_ms_per_token_ = std::clamp(1000 / rate, kMsPerTokenLeast, kMsPerTokenMost);
  prior_token_variance_ =
      square(prior_ms_per_token_ * (published ? kPublishedDeviation : kDefaultDeviation));
  if (observed_) return;
  mean_.ms_per_token = prior_ms_per_token_;
  mean_.token_variance = prior_token_variance_;
}

void PrefillEstimate::observe(double tokens, double ms, double noise_ms, Instant now) {
  if (!std::isfinite(tokens) || !std::isfinite(ms) || tokens < 0) return;
  ms = std::clamp(ms, 0.0, kObservedMost_ms);
  tokens = std::min(tokens, kTokensMost);
  Value value = at(now);
  const double noise =
      std::max(noise_variance_, square(kNoiseLeast_ms + kNoiseShare * ms)) + square(noise_ms);
  double spread = value.variance(tokens);
  double residual = ms - (value.overhead_ms + tokens * value.ms_per_token);
  const double far = kOutlierDeviations * std::sqrt(spread + noise);
  outliers_ = std::abs(residual) > far ? outliers_ + 1 : 0;
  const int side = residual > 0 ? 1 : -1;
  if (square(residual) <= spread) {
    one_sided_ = 0;
  } else {
    one_sided_ = one_sided_ * side > 0 ? one_sided_ + side : side;
  }
  if (outliers_ >= kOutliersMax || std::abs(one_sided_) >= kOneSidedMax) {
    outliers_ = 0;  // it has changed: unsure enough to believe this one
    one_sided_ = 0;
    value.overhead_variance = kOverheadVariance;
    value.covariance = 0;
    value.token_variance =
        std::max(prior_token_variance_, square(residual / std::max(tokens, 1.0)));
    spread = value.variance(tokens);
  } else {
    residual = std::clamp(residual, -far, far);
  }
  // What of the residual the spread does not explain is noise.
  noise_variance_ +=
      kNoiseAdaptation * (std::max(0.0, square(residual) - spread) - noise_variance_);
  const double total = spread + noise;

  const double gain_overhead = (value.overhead_variance + tokens * value.covariance) / total;
  const double gain_token = (value.covariance + tokens * value.token_variance) / total;
  mean_.overhead_ms =
      std::clamp(value.overhead_ms + gain_overhead * residual, 0.0, kOverheadMost_ms);
  mean_.ms_per_token =
      std::clamp(value.ms_per_token + gain_token * residual, kMsPerTokenLeast, kMsPerTokenMost);
  mean_.overhead_variance = std::max(0.0, value.overhead_variance - square(gain_overhead) * total);
  mean_.covariance = value.covariance - gain_overhead * gain_token * total;
  mean_.token_variance = std::max(0.0, value.token_variance - square(gain_token) * total);
  updated_ = std::max(updated_, now);
  observed_ = true;
}

}  // namespace perigee
