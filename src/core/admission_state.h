// What an AdmissionQueue keeps, and the steps that its calls are made of. admission.cpp decides who
// runs, admission_wait.cpp who would be late, admission_room.cpp who makes room, admission_pace.cpp
// how many may run.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "core/admission.h"
#include "core/pace_limit.h"
#include "core/rate_estimator.h"
#include "core/wait_error.h"
#include "core/waiting_table.h"

namespace perigee {

inline constexpr std::uint8_t kNetworkLevel = 0;
inline constexpr std::uint8_t kRealtimeLevel = 1;
inline constexpr std::uint8_t kBatchLevel = 4;
inline constexpr std::uint32_t kSlotsUnbounded = 0xffff'ffff;

struct AdmissionQueue::State {
  explicit State(const AdmissionOptions& with)
      : options(with),
        table(with.idle_tenants_max),
        tpot_factor(&kTpotFactor),
        output_tokens(&kOutputTokens) {
    options.requests_max = std::max(options.requests_max, 1U);
    options.running_max = std::max(options.running_max, 1U);
    options.prefill_ahead_tokens = std::max<std::uint64_t>(options.prefill_ahead_tokens, 1);
  }

  bool slots_taken(std::uint8_t level) const;
  bool engine_ready(Instant now) const;  // some engine has little left to prefill
  bool may_release(std::uint8_t level, Instant now) const;
  double left_tokens(std::uint32_t engine, Instant now) const;
  std::uint32_t least_engine(Instant now) const;
  void begin_prefill(WaitingRequest& request, std::uint32_t engine, Instant now);
  void end_prefill(const WaitingRequest& request, Instant now);
  std::uint32_t slots(std::uint8_t level) const {
    return level == kNetworkLevel ? slots_network : std::min(slots_ordinary, slots_paced);
  }
  double tpot_ms(Instant now) const { return published_tpot_ms * tpot_factor.mean(now); }
  // Learns the time per token of what decodes, and bounds what runs by it.
  void keep_pace(Instant now);
  void arrived(const WaitingRequest& request, Instant now);
  double left_by_above(std::uint8_t level, double slot_ms, Instant now) const;
  double turnover_ms(std::uint8_t level, Instant now) const;
  double wait_ms(const WorkAhead& ahead, std::uint8_t level, Instant now) const;
  WaitingRequest describe(const AdmissionRequest& request, Instant now);
  double prefill_ms(const WaitingRequest& request, Instant now) const {
    const PrefillEstimate::Value learned = prefill.at(now);
    return learned.overhead_ms + request.prompt_tokens * learned.ms_per_token;
  }
  double allowance_ms(const AdmissionRequest& request, const WaitingRequest& described,
                      Instant now) const;
  bool full(const WaitingRequest& request) const;
  bool make_room(const WaitingRequest& request, Duration retry);
  bool take_from_below(const WaitingRequest& request, Duration retry);
  bool take_from_heaviest(const WaitingRequest& request, Duration retry);
  bool take_from_newest(const WaitingRequest& request, Duration retry);
  void drop(std::uint32_t position, AdmissionRefusal::Why why, Duration retry);
  void started(std::uint32_t position, Instant now);
  double wait_margin_ms(std::uint8_t level, Instant now) const;
  void learn_wait(const WaitingRequest& request, Instant now);
  std::uint32_t longest_overdue(Instant now) const;
  bool expired(const WaitingRequest& request, Instant now) const;
  void stopped(const WaitingRequest& request, Instant now);
  void end(std::uint32_t position, const AdmissionOutcome& outcome, Instant now);

  AdmissionOptions options;
  WaitingTable table;
  PrefillEstimate prefill;
  ScalarEstimate tpot_factor;
  ScalarEstimate output_tokens;
  double published_tpot_ms = kTpotDefault_ms;
  std::uint32_t engines = 1;
  std::uint32_t slots_ordinary = kSlotsUnbounded;
  std::uint32_t slots_network = kSlotsUnbounded;
  PaceLimit pace;
  std::uint32_t slots_paced = kSlotsUnbounded;  // with which the answers keep their pace
  // Answers that run, each in a slot of its own.
  std::array<std::uint32_t, kAdmissionLevels> running_by_level{};
  std::uint32_t prefilling = 0;  // of the running ones
  std::uint32_t running_ordinary = 0;
  std::uint32_t running_network = 0;
  std::uint64_t running_output_tokens = 0;
  std::uint64_t prefilling_tokens = 0;
  // Prompts released to one engine. What it has left of them shrinks between two of its events, at
  // the learned rate.
  struct EngineBacklog {
    std::uint64_t tokens = 0;
    Instant since{};
  };
  std::vector<EngineBacklog> backlogs{1};
  std::uint32_t releases_in_order = 0;  // since the last to the longest overdue
  std::uint64_t overdue_released = 0;
  std::uint64_t preempted = 0;
  struct Counts {
    std::uint64_t released = 0;
    std::uint64_t refused = 0;
  };
  std::array<Counts, kAdmissionLevels> counts{};
  // Answers and prompts per second that each level was let in with, decaying.
  struct Arrivals {
    double answers_per_s = 0;
    double tokens_per_s = 0;
    Instant as_of{};
  };
  std::array<Arrivals, kAdmissionLevels> arrivals{};
  std::array<WaitError, kAdmissionLevels> wait_errors{};
};

}  // namespace perigee
