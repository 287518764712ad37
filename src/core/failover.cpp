#include "core/failover.h"

#include <algorithm>

namespace perigee {
namespace {

constexpr double kFirstTargets = 4;
constexpr double kBeginTargets = 2;
constexpr double kFirstForecasts = 4;
constexpr double kFirstDeviations = 5;
constexpr double kTiedLeast_ms = 250;  // a pause that a reader of a stream begins to notice
constexpr double kTiedForecasts = 2;
constexpr double kTiedDeviations = 2;
constexpr double kNextPaces = 40;
constexpr double kNextForecasts = 20;
constexpr double kNextLeast_ms = 2'000;  // a machine that does other things may stand so long
// A deadline that passes while an answer is being written is the engine's to enforce; this comes
// after it.
constexpr Duration kDeadlineSlack = seconds{1};
constexpr Duration kPauseFirst = milliseconds{100};  // before a plan is made again; doubles
constexpr Duration kPauseMost = seconds{1};
constexpr std::uint8_t kPauseDoublings = 4;

}  // namespace

Failover::Failover(const FailoverOptions& options, const Request& request, Instant now)
    : options_(&options),
      deadline_(request.deadline.value_or(Instant::max())),
      shown_(now),
      service_class_(request.service_class),
      streams_(request.streams) {}

bool Failover::may_retry(Code code) {
  return code == Code::Unavailable || code == Code::ResourceExhausted || code == Code::Protocol ||
         code == Code::DeadlineExceeded || code == Code::Internal ||
         code == Code::FailedPrecondition;
}

std::vector<CandidateIndex> Failover::tried() const {
  std::vector<CandidateIndex> all = failed_;
  if (first_) all.push_back(first_->candidate);
  if (second_) all.push_back(second_->candidate);
  return all;
}

Instant Failover::latest() const {
  return shown_ + (has_place() ? options_->resume_within : begin_within());
}

Duration Failover::begin_within() const {
  const Duration least = options_->begin_within;
  if (!away_ || least == Duration{}) return least;
  const double class_ms = kBeginTargets * targets_of(service_class_).ttft_ms;
  return std::max(least, std::min(from_ms(class_ms), options_->resume_within));
}

bool Failover::exhausted() const {
  return attempts_ >= options_->attempts_max || fruitless_ >= options_->fruitless_max;
}

Duration Failover::first_patience(const AttemptForecast& forecast) const {
  if (!streams_) return options_->first_token_max;
  const double least_ms =
      begun_ ? kNextLeast_ms : kFirstTargets * targets_of(service_class_).ttft_ms;
  const double ms = std::max(
      least_ms, kFirstForecasts * forecast.ttft_ms + kFirstDeviations * forecast.uncertainty_ms);
  return std::min(from_ms(std::min(ms, 1e9)), options_->first_token_max);
}

Duration Failover::next_patience(const AttemptForecast& forecast) const {
  const double ms = std::max({kNextLeast_ms, kNextPaces * targets_of(service_class_).tpot_ms,
                              kNextForecasts * forecast.tpot_ms});
  return std::min(from_ms(std::min(ms, 1e9)), options_->first_token_max);
}

Instant Failover::beside_at() const {
  // Half of all attempts stay for engines that really fail.
  const bool may_be_overtaken = streams_ || first_->unreachable;
  if (!may_be_overtaken || !resumable_ || exhausted() || attempts_ >= options_->attempts_max / 2) {
    return Instant::max();
  }
  // One that ties two engines at a time and kills both would be done with after half as many.
  if (begun_ && hedges() && fruitless_ > options_->fruitless_max / 2) return Instant::max();
  return std::max(first_->overtake_at, not_before_);
}

// Before another is tried beside the first.
Duration Failover::beside_pause() const {
  return first_->unreachable ? kPauseMost : first_->patience;
}

// When a second one may start beside a first that is not to be blamed.
void Failover::hedge(Running& running, const AttemptForecast& forecast,
                     std::optional<Duration> after, Instant now) const {
  if (!options_->hedge || !streams_) return;
  if (begun_) {
    const double alone_ms = std::max(0.0, forecast.ttft_ms - forecast.queue_ms);
    const double ms = std::max(
        kTiedLeast_ms, kTiedForecasts * alone_ms + kTiedDeviations * forecast.uncertainty_ms);
    after = from_ms(std::min(ms, 1e9));
  } else if (attempts_ > 1) {
    return;
  }
  if (!after || now + *after >= running.overtake_at) return;
  running.overtake_at = now + *after;
  running.why = Why::Hedge;
}

Failover::Decision Failover::decide(Instant now) const {
  if (over_) return {.action = Action::GiveUp};
  const Instant end =
      begun_ && deadline_ != Instant::max() ? deadline_ + kDeadlineSlack : deadline_;
  if (now >= end) return {.action = Action::GiveUp};
  if (!first_) {
    if (exhausted()) return {.action = Action::GiveUp};
    if (now >= not_before_) return {.action = Action::Start};
    if (now >= latest()) return {.action = Action::GiveUp};
    return {.action = Action::Wait, .until = std::min({not_before_, latest(), end})};
  }
  if (now >= first_->drop_at) return {.action = Action::DropFirst};
  if (second_) {
    if (now >= second_->drop_at) return {.action = Action::DropSecond};
    return {.action = Action::Wait, .until = std::min({first_->drop_at, second_->drop_at, end})};
  }
  const Instant beside = beside_at();
  if (now >= beside) return {.action = Action::StartBeside};
  return {.action = Action::Wait, .until = std::min({beside, first_->drop_at, end})};
}

void Failover::started(Side side, CandidateIndex candidate, const AttemptForecast& forecast,
                       std::optional<Duration> hedge_after, Instant now) {
  Running running;
  running.candidate = candidate;
  const Duration patience = first_patience(forecast);
  running.patience = next_patience(forecast);
  if (options_->overtake) running.overtake_at = now + patience;
  running.drop_at = now + options_->first_token_max;
  ++attempts_;
  ++fruitless_;
  not_before_ = Instant::min();
  if (side == Side::First) {
    hedge(running, forecast, hedge_after, now);
    first_ = running;
    overtaken_ = 0;
    return;
  }
  // The first was silent: for a hedge not long enough to say anything of it.
  running.why = hedges() ? Why::Hedge : Why::Silent;
  const bool tied = begun_ && running.why == Why::Hedge;
  if (!tied) running.drop_at = now + patience;  // it has to prove itself
  // Of an answer in one piece nothing is to be held: the first that is there is all of it.
  if (streams_ && running.why == Why::Silent && overtaken_ < kOvertakenMost) ++overtaken_;
  second_ = running;
}

void Failover::no_candidate(Duration ready_in, Instant now) {
  if (first_) {  // nobody to overtake it: look again when it was silent for as long once more
    if (first_->unreachable) failed_.clear();
    not_before_ = now + beside_pause();
    return;
  }
  if (ready_in > Duration{}) away_ = false;  // it can be reached, and fails
  over_ = over_ || (!has_place() && (refused_ || now + ready_in >= latest()));
  failed_.clear();  // whoever failed may be back by then
  const auto doublings = std::min(waits_, kPauseDoublings);
  not_before_ = now + std::min(kPauseFirst * (1U << doublings), kPauseMost);
  if (waits_ < kPauseDoublings) ++waits_;
}

void Failover::displaced(Instant now) {
  displaced_ = true;
  shown_ = now;
}

bool Failover::look_again(Instant now) {
  if (first_ || over_ || refused_ || not_before_ <= now) return false;
  not_before_ = now;
  return true;
}

void Failover::unreachable(Instant now) {
  if (streams_ || !options_->overtake || !first_ || first_->unreachable) return;
  first_->unreachable = true;
  first_->overtake_at = now;
}

void Failover::reachable() {
  if (first_) first_->unreachable = false;
}

bool Failover::showed(Side side, Instant now) {
  bool blamed = false;
  if (side == Side::Second) {
    blamed = second_->why == Why::Silent;
    failed_.push_back(first_->candidate);
    first_ = second_;
    overtaken_ = 0;
  }
  second_.reset();
  begun_ = true;
  shown_ = now;
  fruitless_ = 0;
  waits_ = 0;
  first_->why = Why::Alone;
  if (options_->overtake) first_->overtake_at = now + first_->patience;
  first_->drop_at = now + options_->first_token_max;
  return blamed;
}

void Failover::failed(Side side, Code code, Instant now) {
  std::optional<Running>& ended = side == Side::First ? first_ : second_;
  failed_.push_back(ended->candidate);
  ended.reset();
  const bool waits = has_place() || (first_ && first_->unreachable);
  const bool full = code == Code::ResourceExhausted && waits && fruitless_ > 0;
  if (full) {  // a full engine made nothing: time alone bounds how often it is asked
    --attempts_;
    --fruitless_;
  }
  if (side == Side::Second) {
    not_before_ = now + beside_pause();
    return;
  }
  if (second_) {
    first_ = second_;
    first_->drop_at = now + options_->first_token_max;
    first_->why = Why::Alone;
    second_.reset();
    overtaken_ = 0;
    return;
  }
  not_before_ = Instant::min();  // that nobody could overtake it does not hold back its successor
  refused_ = code == Code::ResourceExhausted;
  away_ = code == Code::Unavailable;
  const bool resumes = begun_ && resumable_;
  if (begun_ && !resumable_) over_ = true;
  if (!may_retry(code)) {
    // The request was good enough to begin, so another engine may take it: once more.
    over_ = over_ || !resumes;
    fruitless_ += options_->fruitless_max / 2;
  }
}

}  // namespace perigee
