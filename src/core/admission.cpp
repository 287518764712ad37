#include <algorithm>
#include <cmath>

#include "core/admission_state.h"
#include "core/class_targets.h"

namespace perigee {
namespace {

using Place = WaitingTable::Place;
using Why = AdmissionRefusal::Why;
constexpr std::uint32_t kNone = WaitingTable::kNone;
// Fewer output tokens say little about the time per token.
constexpr std::uint32_t kOutputTokensLeast = 4;
// Nothing may run here until the capacity changes, which is not predicted: the breaker's first
// time.
constexpr Duration kNoCapacityRetry = seconds{5};
constexpr double kDurationMost_ms = 1e9;  // eleven days; keeps times within what an Instant holds

double share(double value) { return std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : 1; }

Duration duration_of(double ms) {
  return from_ms(std::clamp(ms, -kDurationMost_ms, kDurationMost_ms));
}

std::uint8_t level_of(const AdmissionRequest& request) {
  if (request.network_own) return kNetworkLevel;
  return static_cast<std::uint8_t>(1 + static_cast<int>(request.service_class));
}

// Weighted tokens that it is expected to take.
double work_of(const WaitingRequest& request) {
  return kInputWeight * request.prompt_tokens +
         kOutputWeight * request.output_tokens * request.choices;
}

AdmissionAnswer refused(Why why, double retry_ms) {
  AdmissionAnswer answer;
  answer.refusal = {.why = why,
                    .retry_after = std::clamp(duration_of(retry_ms), kRetryLeast, kRetryMost)};
  return answer;
}

}  // namespace

double AdmissionQueue::State::left_tokens(std::uint32_t engine, Instant now) const {
  const EngineBacklog& backlog = backlogs[engine];
  if (backlog.tokens == 0) return 0;
  const double done = to_ms(now - backlog.since) / prefill.at(now).ms_per_token;
  return std::max(0.0, static_cast<double>(backlog.tokens) - std::max(0.0, done));
}

std::uint32_t AdmissionQueue::State::least_engine(Instant now) const {
  std::uint32_t least = 0;
  double tokens = left_tokens(0, now);
  for (std::uint32_t i = 1; i < engines && tokens > 0; ++i) {
    const double other = left_tokens(i, now);
    if (other >= tokens) continue;
    least = i;
    tokens = other;
  }
  return least;
}

void AdmissionQueue::State::begin_prefill(WaitingRequest& request, std::uint32_t engine,
                                          Instant now) {
  EngineBacklog& backlog = backlogs[engine];
  request.engine = engine;
  request.tokens_ahead = left_tokens(engine, now);
  if (backlog.tokens == 0) backlog.since = now;
  backlog.tokens += request.prompt_tokens;
  prefilling_tokens += request.prompt_tokens;
}

void AdmissionQueue::State::end_prefill(const WaitingRequest& request, Instant now) {
  EngineBacklog& backlog = backlogs[request.engine];
  backlog.tokens -= request.prompt_tokens;
  backlog.since = now;
  prefilling_tokens -= request.prompt_tokens;
}

bool AdmissionQueue::State::slots_taken(std::uint8_t level) const {
  const std::uint32_t running = running_ordinary + running_network;
  if (running >= std::min(options.running_max, slots_network)) return true;
  return level != kNetworkLevel && running_ordinary >= slots(level);
}

bool AdmissionQueue::State::engine_ready(Instant now) const {
  return left_tokens(least_engine(now), now) < static_cast<double>(options.prefill_ahead_tokens);
}

bool AdmissionQueue::State::may_release(std::uint8_t level, Instant now) const {
  return !slots_taken(level) && engine_ready(now);
}

WaitingRequest AdmissionQueue::State::describe(const AdmissionRequest& request, Instant now) {
  WaitingRequest described;
  described.level = level_of(request);
  described.arrived = now;
  described.prompt_tokens =
      std::max(1U, request.prompt_tokens - std::min(request.cached_tokens, request.prompt_tokens));
  double output = request.output_tokens > 0 ? request.output_tokens : output_tokens.mean(now);
  if (request.output_tokens_max > 0) {
    output = std::min(output, static_cast<double>(request.output_tokens_max));
  }
  described.output_tokens = static_cast<std::uint32_t>(output);
  described.choices = std::max(1U, request.choices);
  described.work = work_of(described);
  const double target_ms = targets_of(request.service_class).ttft_ms;
  described.overdue = now + from_ms(target_ms);
  if (request.deadline) {
    described.has_deadline = true;
    described.due = *request.deadline - duration_of(described.output_tokens * tpot_ms(now));
  } else {
    described.due = described.overdue - request.elsewhere;
  }
  if (request.begun) {
    described.begun = true;
    described.overdue = now;
    described.due = std::min(described.due, now);
  }
  return described;
}

void AdmissionQueue::State::drop(std::uint32_t position, Why why, Duration retry) {
  WaitingRequest& request = table.at(position);
  request.refusal = {.why = why, .retry_after = std::clamp(retry, kRetryLeast, kRetryMost)};
  ++counts[request.level].refused;
  table.drop(position);
}

void AdmissionQueue::State::started(std::uint32_t position, Instant now) {
  WaitingRequest& request = table.at(position);
  request.released = now;
  begin_prefill(request, least_engine(now), now);
  running_output_tokens += std::uint64_t{request.output_tokens} * request.choices;
  (request.level == kNetworkLevel ? running_network : running_ordinary) += request.choices;
  running_by_level[request.level] += request.choices;
  ++counts[request.level].released;
  prefilling += request.choices;
}

std::uint32_t AdmissionQueue::State::longest_overdue(Instant now) const {
  std::uint32_t found = kNone;
  for (std::uint8_t level = kNetworkLevel + 1; level < kAdmissionLevels; ++level) {
    const std::uint32_t oldest = table.oldest(level);
    if (oldest == kNone || table.at(oldest).overdue >= now) continue;
    if (found == kNone || table.at(oldest).overdue < table.at(found).overdue) found = oldest;
  }
  return found;
}

bool AdmissionQueue::State::expired(const WaitingRequest& request, Instant now) const {
  const bool gave_up = options.wait_max > Duration::zero() &&
                       now - request.arrived > options.wait_max && !request.begun;
  if (gave_up) return true;
  return request.has_deadline && to_ms(request.due - now) < prefill_ms(request, now);
}

// It holds its slot no longer.
void AdmissionQueue::State::stopped(const WaitingRequest& request, Instant now) {
  if (!request.prefilled) {
    end_prefill(request, now);
    prefilling -= request.choices;
  }
  running_output_tokens -= std::uint64_t{request.output_tokens} * request.choices;
  (request.level == kNetworkLevel ? running_network : running_ordinary) -= request.choices;
  running_by_level[request.level] -= request.choices;
}

void AdmissionQueue::State::end(std::uint32_t position, const AdmissionOutcome& outcome,
                                Instant now) {
  const WaitingRequest& request = table.at(position);
  const Usage& usage = outcome.usage;
  stopped(request, now);
  if (usage.prompt_tokens > 0 || usage.completion_tokens > 0) {
    const double prompt = usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens);
    const double done = kInputWeight * (usage.prompt_tokens > 0 ? prompt : request.prompt_tokens) +
                        kOutputWeight * usage.completion_tokens;
    table.charge(position, done - request.work - request.charged);
  }
  if (outcome.served && usage.completion_tokens > 0) {
    const double tokens = static_cast<double>(usage.completion_tokens) / request.choices;
    output_tokens.observe(tokens, now);
    const bool whole = request.prefilled && !request.begun;
    if (whole && tokens >= kOutputTokensLeast) {
      const double per_token = to_ms(now - request.first_token) / (tokens - 1);
      pace.ended(per_token, tpot_ms(now));
      tpot_factor.observe(per_token / published_tpot_ms, now);
    }
  }
  table.erase(position);
}

AdmissionQueue::AdmissionQueue(AdmissionOptions options)
    : state_(std::make_unique<State>(options)) {}
AdmissionQueue::~AdmissionQueue() = default;
AdmissionQueue::AdmissionQueue(AdmissionQueue&&) noexcept = default;
AdmissionQueue& AdmissionQueue::operator=(AdmissionQueue&&) noexcept = default;

void AdmissionQueue::set_capacity(const AdmissionCapacity& capacity) {
  State& state = *state_;
  state.engines = std::clamp(capacity.engines, 1U, kAdmissionEnginesMax);
  if (state.backlogs.size() < state.engines) state.backlogs.resize(state.engines);
  state.prefill.seed(capacity.prefill_tokens_per_s / state.engines);
  const bool published = std::isfinite(capacity.decode_ms) && capacity.decode_ms > 0;
  state.published_tpot_ms = published ? capacity.decode_ms : kTpotDefault_ms;
  state.slots_ordinary = kSlotsUnbounded;
  state.slots_network = kSlotsUnbounded;
  if (capacity.slots == 0) return;
  const auto usable = [&](double part) {
    const auto whole = static_cast<std::uint32_t>(std::floor(capacity.slots * part + 1e-9));
    return part > 0 ? std::max(whole, 1U) : 0;
  };
  const double power = share(capacity.power_share);
  state.slots_network = usable(power);
  state.slots_ordinary = usable(power * (1 - share(capacity.reserved_share)));
}

AdmissionAnswer AdmissionQueue::offer(const AdmissionRequest& request, Instant now) {
  State& state = *state_;
  WaitingRequest described = state.describe(request, now);
  const std::uint8_t level = described.level;
  State::Counts& counts = state.counts[level];
  if (state.slots(level) == 0) {
    ++counts.refused;
    return refused(Why::NoCapacity, to_ms(kNoCapacityRetry));
  }
  described.tenant = state.table.tenant(request.tenant);
  state.keep_pace(now);

  bool first = state.may_release(level, now);
  for (std::uint8_t other = 0; other <= level; ++other) {
    if (state.table.level(other).requests > 0) first = false;
  }
  const WorkAhead ahead =
      first ? WorkAhead{}
            : state.table.ahead(described.tenant, level, state.options.fair_slack_tokens);
  const double wait_ms = state.wait_ms(ahead, level, now);
  described.wait_predicted_ms = wait_ms;
  const double margin_ms = first ? 0 : state.wait_margin_ms(level, now);
  const double late_ms = wait_ms + margin_ms - state.allowance_ms(request, described, now);
  if (late_ms > 0 && !(described.begun && !described.has_deadline)) {
    ++counts.refused;
    return refused(Why::TooLate, late_ms);
  }
  AdmissionAnswer answer;
  answer.wait_predicted = first ? Duration{} : duration_of(wait_ms);
  std::uint32_t position = kNone;
  if (first) {
    position = state.table.add_running(described);
    state.started(position, now);
    answer.verdict = AdmissionAnswer::Verdict::Admitted;
  } else {
    const double drain_ms =
        std::max(state.turnover_ms(level, now), state.prefill_ms(described, now));
    if (state.full(described) && !state.make_room(described, duration_of(drain_ms))) {
      ++counts.refused;
      return refused(Why::Full, drain_ms);
    }
    position = state.table.add_waiting(described);
    answer.verdict = AdmissionAnswer::Verdict::Queued;
  }
  answer.ticket = state.table.ticket(position);
  state.arrived(described, now);
  return answer;
}

AdmissionTicket AdmissionQueue::next(Instant now) {
  State& state = *state_;
  state.keep_pace(now);
  for (;;) {
    std::uint32_t position = kNone;
    for (std::uint8_t level = 0; level < kAdmissionLevels && position == kNone; ++level) {
      position = state.table.first(level, state.options.fair_slack_tokens);
    }
    if (position == kNone) return 0;
    bool overdue = false;
    if (state.table.at(position).level != kNetworkLevel &&
        state.releases_in_order + 1 >= kOverdueEvery) {
      if (const std::uint32_t longest = state.longest_overdue(now); longest != kNone) {
        position = longest;
        overdue = true;
      }
    }
    const WaitingRequest& request = state.table.at(position);
    if (state.expired(request, now)) {
      state.drop(position, Why::TooLate, kRetryLeast);
      continue;
    }
    if (!state.may_release(request.level, now)) return 0;
    state.learn_wait(request, now);
    state.table.release(position);
    state.started(position, now);
    state.releases_in_order = overdue ? 0 : std::min(state.releases_in_order + 1, kOverdueEvery);
    state.overdue_released += overdue ? 1U : 0U;
    return state.table.ticket(position);
  }
}

void AdmissionQueue::expire(Instant now) {
  State& state = *state_;
  for (std::uint8_t level = 0; level < kAdmissionLevels; ++level) {
    if (state.table.level(level).requests == 0) continue;
    const WorkAhead ahead = state.table.ahead_of_stranger(level, state.options.fair_slack_tokens);
    const Duration retry = duration_of(state.wait_ms(ahead, level, now));
    for (std::uint32_t position = state.table.newest(level); position != kNone;) {
      const std::uint32_t older = state.table.before(position);
      if (state.expired(state.table.at(position), now)) {
        state.drop(position, Why::TooLate, retry);
      }
      position = older;
    }
  }
}

AdmissionTicket AdmissionQueue::preempt(Instant now) const {
  const State& state = *state_;
  std::uint8_t level = kNetworkLevel;
  if (!state.options.preempts) return 0;
  while (level <= kRealtimeLevel && state.table.level(level).requests == 0) ++level;
  if (level > kRealtimeLevel || !state.slots_taken(level) || state.slots(level) == 0) return 0;
  if (!state.engine_ready(now)) return 0;  // a slot alone would not help
  std::uint32_t found = kNone;
  for (std::uint32_t position = state.table.newest_running(kBatchLevel); position != kNone;
       position = state.table.before(position)) {
    const WaitingRequest& running = state.table.at(position);
    if (running.overdue < now || !running.stoppable) continue;
    if (found == kNone || running.arrived > state.table.at(found).arrived) found = position;
  }
  return found == kNone ? 0 : state.table.ticket(found);
}

void AdmissionQueue::requeue(AdmissionTicket ticket, std::uint32_t delivered_tokens, Instant now) {
  State& state = *state_;
  const std::uint32_t position = state.table.find(ticket, Place::Running);
  if (position == kNone) return;
  WaitingRequest& request = state.table.at(position);
  state.stopped(request, now);
  const double done = (request.prefilled ? kInputWeight * request.prompt_tokens : 0) +
                      kOutputWeight * delivered_tokens;
  state.table.charge(position, done - request.work);
  request.charged += done;
  request.prompt_tokens += delivered_tokens;
  request.output_tokens -= std::min(request.output_tokens, delivered_tokens / request.choices);
  request.work = work_of(request);
  request.prefilled = false;
  request.begun = true;
  state.table.requeue(position);
  ++state.preempted;
}

void AdmissionQueue::keep_running(AdmissionTicket ticket) {
  const std::uint32_t position = state_->table.find(ticket, Place::Running);
  if (position != kNone) state_->table.keep_running(position);
}

std::optional<AdmissionDrop> AdmissionQueue::dropped() {
  WaitingTable& table = state_->table;
  const std::uint32_t position = table.first_dropped();
  if (position == kNone) return std::nullopt;
  const AdmissionDrop drop{.ticket = table.ticket(position), .refusal = table.at(position).refusal};
  table.erase(position);
  return drop;
}

void AdmissionQueue::placed(AdmissionTicket ticket, std::uint32_t engine, Instant now) {
  State& state = *state_;
  const std::uint32_t position = state.table.find(ticket, Place::Running);
  if (position == kNone || engine >= state.engines) return;
  WaitingRequest& request = state.table.at(position);
  if (request.prefilled || request.engine == engine) return;
  state.backlogs[request.engine].tokens -= request.prompt_tokens;
  state.prefilling_tokens -= request.prompt_tokens;
  state.begin_prefill(request, engine, now);
}

void AdmissionQueue::first_token(AdmissionTicket ticket, Instant now) {
  State& state = *state_;
  const std::uint32_t position = state.table.find(ticket, Place::Running);
  if (position == kNone || state.table.at(position).prefilled) return;
  WaitingRequest& request = state.table.at(position);
  request.prefilled = true;
  request.first_token = now;
  state.prefilling -= request.choices;
  state.end_prefill(request, now);
  state.prefill.observe(request.tokens_ahead + request.prompt_tokens, to_ms(now - request.released),
                        0, now);
}

void AdmissionQueue::finished(AdmissionTicket ticket, const AdmissionOutcome& outcome,
                              Instant now) {
  const std::uint32_t position = state_->table.find(ticket, Place::Running);
  if (position != kNone) state_->end(position, outcome, now);
}

void AdmissionQueue::cancel(AdmissionTicket ticket, Instant now) {
  finished(ticket, {.usage = {}, .served = false}, now);
  const std::uint32_t position = state_->table.find(ticket, Place::Waiting);
  if (position != kNone) state_->table.erase(position);
}

std::uint32_t AdmissionQueue::waiting() const { return state_->table.waiting(); }

std::uint64_t AdmissionQueue::waiting_tokens() const { return state_->table.waiting_tokens(); }

AdmissionStats AdmissionQueue::stats(Instant now) const {
  const State& state = *state_;
  AdmissionStats stats;
  for (std::uint8_t i = 0; i < kAdmissionLevels; ++i) {
    AdmissionStats::Level& level = stats.levels[i];
    level.requests = state.table.level(i).requests;
    level.tokens = state.table.level(i).prompt_tokens;
    const std::uint32_t oldest = state.table.oldest(i);
    if (oldest != kNone) level.oldest = now - state.table.at(oldest).arrived;
    const WorkAhead ahead = state.table.ahead_of_stranger(i, state.options.fair_slack_tokens);
    level.wait_predicted = duration_of(state.wait_ms(ahead, i, now));
    level.released = state.counts[i].released;
    level.refused = state.counts[i].refused;
  }
  stats.requests = state.table.waiting();
  stats.tokens = state.table.waiting_tokens();
  stats.running = state.running_ordinary + state.running_network;
  stats.prefilling_tokens = state.prefilling_tokens;
  stats.slots = state.slots_ordinary == kSlotsUnbounded ? 0 : state.slots(kBatchLevel);
  stats.slots_network = state.slots_network == kSlotsUnbounded ? 0 : state.slots_network;
  stats.overdue_released = state.overdue_released;
  stats.preempted = state.preempted;
  stats.ms_per_token = state.prefill.at(now).ms_per_token;
  stats.tpot_ms = state.tpot_ms(now);
  return stats;
}

}  // namespace perigee
