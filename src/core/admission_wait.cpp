// How long what comes will wait, and whether that is in time.
#include <algorithm>
#include <cmath>

#include "core/admission_state.h"
#include "core/class_targets.h"

namespace perigee {
namespace {

// How long arrivals are remembered, as a load of the higher classes; and the least that these are
// taken to leave, as their own late ones are refused.
constexpr double kArrivalMemory_s = 5;
constexpr double kLeftLeast = 0.1;

}  // namespace

// Mean time between two slots becoming free while all are taken.
double AdmissionQueue::State::turnover_ms(std::uint8_t level, Instant now) const {
  if (slots(level) == kSlotsUnbounded || slots(level) == 0) return 0;
  const std::uint32_t running = running_ordinary + running_network;
  const double mean_output =
      running > 0 ? static_cast<double>(running_output_tokens) / running : output_tokens.mean(now);
  return mean_output * tpot_ms(now) / slots(level);
}

void AdmissionQueue::State::arrived(const WaitingRequest& request, Instant now) {
  Arrivals& own = arrivals[request.level];
  const double kept = std::exp(-to_seconds(now - own.as_of) / kArrivalMemory_s);
  own.answers_per_s = own.answers_per_s * kept + request.choices / kArrivalMemory_s;
  own.tokens_per_s = own.tokens_per_s * kept + request.prompt_tokens / kArrivalMemory_s;
  own.as_of = now;
}

// The part of slots and engines that is left to a level by those above it that keep coming.
double AdmissionQueue::State::left_by_above(std::uint8_t level, double slot_ms, Instant now) const {
  double taken = 0;
  const double token_ms = prefill.at(now).ms_per_token / engines;
  for (std::uint8_t above = 0; above < level; ++above) {
    const Arrivals& its = arrivals[above];
    const double kept = std::exp(-to_seconds(now - its.as_of) / kArrivalMemory_s);
    taken += kept * std::max(its.answers_per_s * slot_ms, its.tokens_per_s * token_ms) / 1000;
  }
  return std::max(kLeftLeast, 1 - taken);
}

// As the router predicts: prompts and slots are waited for beside each other. Who comes meanwhile
// with a higher class goes first, too: in a queue of priorities a wait grows by 1 / (1 - the load
// of the classes above) (Cobham, 1954).
double AdmissionQueue::State::wait_ms(const WorkAhead& ahead, std::uint8_t level,
                                      Instant now) const {
  const double tokens = left_tokens(least_engine(now), now) + ahead.prompt_tokens / engines;
  const double prompts_ms = tokens * prefill.at(now).ms_per_token;
  if (slots(level) == kSlotsUnbounded) return prompts_ms / left_by_above(level, 0, now);
  const double running =
      level == kNetworkLevel ? running_ordinary + running_network : running_ordinary;
  double beyond = running + ahead.answers + 1 - slots(level);
  if (options.preempts && level <= kRealtimeLevel) {
    beyond -= static_cast<double>(table.level(kBatchLevel).stoppable);
  }
  const double slot_ms = turnover_ms(level, now);
  const double wait = std::max(prompts_ms, std::max(0.0, beyond) * slot_ms);
  return wait > 0 ? wait / left_by_above(level, slot_ms, now) : 0;
}

// Realtime and above are let in at even odds: hardly anybody goes before them, and what more would
// be kept for errors would be refused to them and taken by the classes below.
double AdmissionQueue::State::wait_margin_ms(std::uint8_t level, Instant now) const {
  return wait_errors[level].margin_ms(level <= kRealtimeLevel, now);
}

// Of its first wait only: what was broken off stands before all others.
void AdmissionQueue::State::learn_wait(const WaitingRequest& request, Instant now) {
  if (request.begun) return;
  const double target_ms = to_ms(request.overdue - request.arrived);
  wait_errors[request.level].observe(request.wait_predicted_ms, to_ms(now - request.arrived),
                                     target_ms, now);
}

// The longest wait until release with which it is still in time.
double AdmissionQueue::State::allowance_ms(const AdmissionRequest& request,
                                           const WaitingRequest& described, Instant now) const {
  const double left_ms = to_ms(described.due - now) - prefill_ms(described, now);
  if (described.has_deadline) return left_ms;
  return std::max(left_ms, kWaitShareLeast * targets_of(request.service_class).ttft_ms);
}

}  // namespace perigee
