// PaceLimit: how many requests may run at once so that answers keep the pace of their classes.
//
// Every request that joins a batch makes each token of all others later. Beyond some number nobody
// keeps his pace any more, and all that runs is in vain; so what comes beyond it is better made to
// wait, or sent elsewhere. Time per token is taken as linear in the requests that run (measured
// decode kernels are: base, plus so much per sequence and its keys and values), learned by
// recursive least squares with forgetting from (requests that run, time per token) pairs.
//
// Classes differ in pace, and one batch has one: to keep the strictest keeps all, but few can then
// run. Of the paces of the classes present the limit keeps the one under which most tokens per
// second reach those whose pace it keeps:
//   argmax over P:  n(P) / P * share of the requests here whose pace is at least P
// where n(P) requests take P each, but for a margin: the answers of one batch differ in pace, and
// the limit is such that nine in ten keep theirs, by the learned deviation. It binds only under
// load: with fewer requests than n of the strictest pace all paces are kept. An engine that is too
// slow for a pace is not run empty for it: the limit leaves at least kThroughputLeast of the tokens
// per second that all slots would make, in whole requests per engine.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/instant.h"
#include "core/rate_estimator.h"

namespace perigee {

inline constexpr double kThroughputLeast = 0.5;
inline constexpr double kPaceKept_deviations = 1.2816;  // 90 % of a normal distribution are below

class PaceLimit {
 public:
  static constexpr std::size_t kClasses = 4;

  // `running` requests per engine take `tpot_ms` per token each.
  void observe(double running, double tpot_ms, Instant now);
  // An answer ended with `tpot_ms` per token where `expected_ms` was the mean.
  void ended(double tpot_ms, double expected_ms);
  // Most requests per engine at once, at least 1, given its slots (infinite: not known) and how
  // many of each ServiceClass run or wait here. Infinite without an observation or a request.
  double most_running(double slots, std::span<const std::uint32_t, kClasses> requests,
                      Instant now) const;

 private:
  PrefillEstimate time_;                                     // overhead + requests * ms per request
  double variance_ = kTpotFactor.noise * kTpotFactor.noise;  // of tpot / expected, running
  bool observed_ = false;
};

}  // namespace perigee
