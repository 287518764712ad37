// AdmissionQueue: which requests run now at a serving site, which wait, which are refused. One
// queue stands before all engines of one model at a site. Pure, as the router: time comes in as an
// Instant, nothing throws, every table is bounded, and once warm no call allocates.
//
// Order of those that wait:
//   1 classes are strict: the network's own work, realtime, interactive, standard, batch
//   2 between the tenants of a class, virtual token counters (VTC, Sheng et al., OSDI 2024): each
//     tenant is charged prompt tokens to prefill + 2 * output tokens, the expected ones as it is
//     released and the difference when it ends (VTC with length prediction; weights of the paper).
//     A tenant that comes back is lifted to the least counter of those that wait, or, when none
//     waits, to that of the last who waited, so that idleness saves up nothing
//   3 among the tenants whose counter is ahead of the least by no more than the request that they
//     would release (and by `fair_slack_tokens` at most), earliest due first. So whoever comes new
//     waits for two releases of each other tenant at most, however many these have waiting, and
//     however short those are: a bound in tokens alone would let a flood of short ones go first.
//     "Due" is when the first token must come: the client's deadline less the time to decode, or,
//     without one, the class's target for the time to first token
//   4 starvation is bounded: what waited longer than its class's target is overdue, and one release
//     in kOverdueEvery goes to the longest overdue of any class. So m overdue requests before it
//     delay a batch request by at most m * kOverdueEvery releases, whatever the classes above do,
//     and they lose at most that share
//
// A request takes a slot for each of its answers. It is released while one slot is free and some
// engine has less than `prefill_ahead_tokens` of prompt left to prefill: more would wait in the
// engine in its own order, which knows no classes (SkyWalker pushes to idle queues only). Slots
// free for all but the network's own work:
//   floor(slots * power_share * (1 - reserved_share)), at least 1 while any share is left
// and the network's own work may use the reserved ones too; less, for the pace (pace_limit.h).
//
// Realtime pre-empts batch: while realtime or the network's own work waits for a slot alone, the
// batch request that came last stops and waits again, before all others of its class, with what it
// has delivered as part of its prompt. One that is overdue runs to its end, and what has begun
// never makes room for others: strictness delays batch, it does not lose it.
//
// Refused at once, with the time after which it may be worth asking again:
//   TooLate  the predicted first token misses the due time. Own prefill counts, but a request whose
//            prefill alone takes most of the target may wait half the target: it is late by its
//            length, not by the queue. The prediction (all terms learned, or as published):
//              wait = max(prompt tokens left at the engine with the least * ms per token
//                           + those of waiting prompts ahead * ms per token / engines,
//                         requests beyond the slots * output tokens * ms per token / slots)
//                    / (1 - load of the classes above: they keep coming, and go first)
//            and, of what has to wait, a margin with which nine in ten waits of its level were not
//            longer; for realtime every other one (core/wait_error.h).
//            "Ahead" is what strict classes and the counters will let go first: of another tenant
//            in the same class, only so much as its counter is behind. A flood delays its own
//            tenant.
//   Full     requests_max or tokens_max wait. The newest of the lowest class below makes room first
//            (see dropped()); within a class only a tenant that holds more of the queue than the
//            one who asks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/id.h"
#include "base/instant.h"
#include "core/inference.h"

namespace perigee {

// One release in ten goes to the longest overdue request, if there is one: the share that
// strictness gives up (a batch job moves on, realtime keeps nine tenths of the slots).
inline constexpr std::uint32_t kOverdueEvery = 10;
// Weights of a token in a tenant's counter: VTC's, which follow the prices of hosted APIs.
inline constexpr double kInputWeight = 1;
inline constexpr double kOutputWeight = 2;
// Part of the target that a request with a long prompt may wait at least.
inline constexpr double kWaitShareLeast = 0.5;
// Bounds of retry_after: sooner is a storm, later is a guess.
inline constexpr Duration kRetryLeast = milliseconds{100};
inline constexpr Duration kRetryMost = seconds{60};

inline constexpr std::uint32_t kAdmissionEnginesMax = 1'024;

struct AdmissionOptions {
  std::uint32_t requests_max = 4'096;     // waiting
  std::uint64_t tokens_max = 16'777'216;  // prompt tokens waiting; one request always fits
  std::uint32_t running_max = 16'384;     // answers released and not finished; binds when slots are
                                          // unknown
  // Tenants remembered while they have nothing here; the longest idle goes first.
  std::uint32_t idle_tenants_max = 1'024;
  // Two batches of 8,192 tokens (llm-d's calibration): one is computed, one is ready behind it.
  std::uint64_t prefill_ahead_tokens = 16'384;  // of each engine
  // How far a tenant's counter may be ahead while its request is due earlier: by that request, and
  // by one such batch at most.
  double fair_slack_tokens = 8'192;
  // What waited longer is refused by expire() and next(): its caller has given up. 0: never.
  Duration wait_max{};
  // The caller asks preempt(): a request that may pre-empt is not refused for slots that batch has.
  bool preempts = false;
};

// What the engines of the model can do now; replaced as a whole. Lowering it stops nothing that
// runs.
struct AdmissionCapacity {
  std::uint32_t slots = 0;          // sequences at once, of all engines; 0: not known: any number
  std::uint32_t engines = 1;        // that can serve now, at most kAdmissionEnginesMax
  double prefill_tokens_per_s = 0;  // published, of all engines; 0: not known
  double decode_ms = 0;             // published, per token of one stream; 0: not known
  double reserved_share = 0;        // 0..1 of the slots kept for the network's own work
  double power_share = 1;           // 0..1 of the slots that the site's power allows
};

struct AdmissionRequest {
  TenantId tenant;
  ServiceClass service_class = ServiceClass::Standard;
  bool network_own =
      false;  // the network's own work (RAN): before all classes, may use its reserve
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;      // of these, expected in the engine's cache
  std::uint32_t output_tokens = 0;      // expected of one answer; 0: as answers here usually are
  std::uint32_t output_tokens_max = 0;  // of one answer, the client's limit; 0: none
  std::uint32_t choices = 1;            // answers to it that are written at once (n)
  std::optional<Instant> deadline;      // finish by then; instead of the class's target
  Duration elsewhere{};  // counts against the class's target: time already gone and the way back
  // Its client has a part of the answer, made elsewhere: it stands before all others of its class,
  // as what was pre-empted does, and is refused only when nobody who has not begun could make room.
  bool begun = false;
};

// One request inside. 0: none; valid in every call, and does nothing.
using AdmissionTicket = std::uint64_t;

struct AdmissionRefusal {
  enum class Why : std::uint8_t { Full, TooLate, NoCapacity } why = Why::Full;
  Duration retry_after{};
};
std::string_view to_string(AdmissionRefusal::Why why);  // "full", "too_late", "no_capacity"

struct AdmissionAnswer {
  enum class Verdict : std::uint8_t {
    Admitted,  // run it now
    Queued,    // wait until next() names it or dropped() does
    Refused    // 429; ticket is 0
  } verdict = Verdict::Refused;
  AdmissionTicket ticket = 0;
  AdmissionRefusal refusal;   // when Refused
  Duration wait_predicted{};  // until it is released
};

// A queued request that is refused after all: made room, or its deadline can't be met any more.
struct AdmissionDrop {
  AdmissionTicket ticket = 0;  // no longer valid
  AdmissionRefusal refusal;
};

// How a released request went, as far as it is known.
struct AdmissionOutcome {
  Usage usage;         // zero where not known: then the expected tokens stay charged
  bool served = true;  // false: failed or given up; nothing is learned from it
};

// For digests, status pages and metrics.
struct AdmissionStats {
  static constexpr std::size_t kLevels = 5;  // the network's own work, then ServiceClass in order
  static std::string_view level_name(std::size_t level) {  // "network", "realtime", ...
    return level == 0 ? "network" : to_string(static_cast<ServiceClass>(level - 1));
  }
  struct Level {
    std::uint32_t requests = 0;  // waiting
    std::uint64_t tokens = 0;    // of prompt to prefill, waiting
    Duration oldest{};           // how long the oldest has waited
    Duration wait_predicted{};   // of one that came now, of a tenant with nothing here
    std::uint64_t released = 0;  // since the start: at once or after a wait
    std::uint64_t refused = 0;   // since the start: at once, or dropped
  };
  std::array<Level, kLevels> levels{};
  std::uint32_t requests = 0;           // waiting, all levels
  std::uint64_t tokens = 0;             // waiting, all levels
  std::uint32_t running = 0;            // answers released and not finished
  std::uint64_t prefilling_tokens = 0;  // released, first token not yet out
  std::uint32_t slots = 0;              // for all but that, the pace kept; 0: not known
  std::uint32_t slots_network = 0;      // for the network's own work
  std::uint64_t overdue_released = 0;   // out of the strict order, since the start
  std::uint64_t preempted = 0;          // stopped and queued again, since the start
  double ms_per_token = 0;              // learned prefill of one engine
  double tpot_ms = 0;                   // learned
};

// One queue belongs to one thread. Per request: offer(); if Admitted, or when next() names it, run
// it and call first_token() and finished(). After set_capacity(), first_token(), finished() and
// cancel(): call next() until it answers 0, then dropped() until it answers nothing.
class AdmissionQueue {
 public:
  explicit AdmissionQueue(AdmissionOptions options);
  ~AdmissionQueue();
  AdmissionQueue(AdmissionQueue&&) noexcept;
  AdmissionQueue& operator=(AdmissionQueue&&) noexcept;

  void set_capacity(const AdmissionCapacity& capacity);

  AdmissionAnswer offer(const AdmissionRequest& request, Instant now);
  // The request to run now; 0 when none waits or may. It holds a slot until finished().
  AdmissionTicket next(Instant now);
  // Refuses all that wait and can't be in time any more; next() only refuses such a one where it
  // would name it. Looks at each: a few times a second, while something waits.
  void expire(Instant now);
  // The running request that is to make place; 0: none. Ask when next() has nothing more to name;
  // stop it, requeue() it, and ask next() again.
  AdmissionTicket preempt(Instant now) const;
  // A released request can't be stopped any more: nobody could go on where it stands.
  void keep_running(AdmissionTicket ticket);
  // A released request was stopped after so many tokens of its answer since it was released: it
  // waits again. Its usage in finished() is that of all its runs.
  void requeue(AdmissionTicket ticket, std::uint32_t delivered_tokens, Instant now);
  // One queued request that was refused since; each is named once.
  std::optional<AdmissionDrop> dropped();

  // Which engine runs it, counted from 0; without a word the one with the least left to prefill.
  void placed(AdmissionTicket ticket, std::uint32_t engine, Instant now);
  void first_token(AdmissionTicket ticket, Instant now);
  // Exactly once per released request, however it ended.
  void finished(AdmissionTicket ticket, const AdmissionOutcome& outcome, Instant now);
  // The client left: a queued request goes away; a released one ends as not served.
  void cancel(AdmissionTicket ticket, Instant now);

  std::uint32_t waiting() const;         // requests
  std::uint64_t waiting_tokens() const;  // of prompts to prefill
  AdmissionStats stats(Instant now) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perigee
