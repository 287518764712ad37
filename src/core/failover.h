// Failover: what to do about the attempts of one request: try another when one fails, start a
// second beside one that is late (hedge) or stands still, drop what is hopeless, give up. Pure: no
// IO, no clock; the daemon and the simulator drive the same code.
//
// A request has at most two attempts under way, the first and the second. Both answer from the same
// point: the second begins while the first is silent, and whichever shows a token first is kept.
//
//   Failover failover{options, request};
//   loop: switch (failover.decide(now).action)
//     Start         route.tried = failover.tried(); plan; then started(First, ...), or
//     no_candidate() StartBeside   the same, for the second Drop...       cut the attempt, report
//     it to the router as failed; then failed(side, ...) GiveUp        tell the client the last
//     error Wait          until `until`, or until an attempt yields or fails:
//       it yielded what is to be shown  -> showed(side): the other is to be dropped
//       it failed                       -> failed(side, code)
//       it ended well                   -> the request is over
//
// How long to wait for a token, of an attempt predicted to take ttft and tpot:
//   the first   max(4 targets of the class for it, 4 ttft + 5 deviations), at most first_token_max
//   the next    max(2 s, 40 times the class's pace, 20 tpot), at most first_token_max
// What is silent for longer is overtaken by a second attempt; the first keeps its chance, because a
// busy machine is no dead one. If the second wins, the first counts as failed at its breaker. A
// first attempt that was overtaken twice and came back both times is held: its tokens are shown
// only if the second fails, so that a slow engine can't keep a stream by a token now and then.
//
// An answer in one piece says nothing until it is whole, so its silence tells nothing. A second is
// started beside it when the first's engine can't be reached: see unreachable().
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/instant.h"
#include "core/class_targets.h"
#include "core/router.h"

namespace perigee {

struct FailoverOptions {
  // Attempts in a row that showed nothing. Few, because some requests may be what kills engines. A
  // refusal for load of a stream that has begun does not count: `resume_within` bounds those.
  std::uint32_t fruitless_max = 6;
  std::uint32_t attempts_max = 32;  // of a request in all
  // An attempt that shows nothing for so long is dropped even when there is no other.
  Duration first_token_max = seconds{60};
  // So long a request waits for an engine to come back when nobody can take it: before its first
  // token (an engine's restart is not the client's business), and for a stream that has begun. What
  // waits for engines that are away, and not for one that answers wrongly or has an open breaker,
  // waits for twice its class's time to the first token if that is longer. 0: it waits for nothing.
  Duration begin_within = seconds{2};
  Duration resume_within = seconds{30};
  bool hedge = true;     // act on RoutePlan::hedge_after, and stand in two queues once begun
  bool overtake = true;  // start a second attempt beside one that is silent for too long
};

// The terms of the plan's prediction that failover needs, in ms.
struct AttemptForecast {
  double ttft_ms = 0;
  double uncertainty_ms = 0;
  double tpot_ms = 0;
  double queue_ms = 0;  // of ttft_ms: for prompts ahead and for a slot
};

class Failover {
 public:
  enum class Side : std::uint8_t { First, Second };
  enum class Action : std::uint8_t { Wait, Start, StartBeside, DropFirst, DropSecond, GiveUp };
  struct Decision {
    Action action = Action::Wait;
    Instant until = Instant::max();  // Wait: look again then
  };
  struct Request {
    ServiceClass service_class = ServiceClass::Standard;
    std::optional<Instant> deadline;
    // Tokens are shown as they come. Else an answer comes in one piece: it is overtaken only when
    // it is unreachable(), and only silence of `first_token_max` counts.
    bool streams = true;
  };

  // `options` must outlive it.
  Failover(const FailoverOptions& options, const Request& request, Instant now);

  Decision decide(Instant now) const;
  // Candidates that the next plan leaves out: what failed, then what is under way.
  std::vector<CandidateIndex> tried() const;

  // An attempt has begun. `hedge_after` is that of its plan.
  void started(Side side, CandidateIndex candidate, const AttemptForecast& forecast,
               std::optional<Duration> hedge_after, Instant now);
  // The plan for Start or StartBeside found nobody. `ready_in`: when a breaker may let one in; 0:
  // not known. What has not begun is not kept waiting for longer than it may be, nor when it was
  // refused for load.
  void no_candidate(Duration ready_in, Instant now);
  // The client gets something of this attempt. The other one, if any, is over: drop it. Returns
  // whether it is to be blamed (reported as failed, not as abandoned).
  bool showed(Side side, Instant now);
  // The attempt is over without a good end.
  void failed(Side side, Code code, Instant now);
  // Its site sends the first attempt away, failed() follows: it was let in once, so that refusals
  // for load do not end it before `resume_within`, as if it had begun.
  void displaced(Instant now);
  // Somebody who could not take it may be able to now: an engine is ready, a peer is back. What
  // waits for nobody in particular asks at once. Not what was refused: it waits for room. Returns
  // whether it does.
  bool look_again(Instant now);
  // The engine of the first attempt can't be reached, as far as is known: an answer in one piece is
  // begun at another one beside it. Whoever answers first is kept, so that a wrong suspicion costs
  // no more than the work. While nobody can take it, it looks again every kPauseMost. It does not
  // matter to streams, whose silence tells enough, nor without `overtake`.
  void unreachable(Instant now);
  // It can be again: nobody is needed beside it.
  void reachable();
  // What was shown can't be resumed by anybody: from now on a failure ends the request.
  void lost_track() { resumable_ = false; }
  // Nothing more is to be tried.
  void give_up() { over_ = true; }

  // While true, what the first attempt yields is kept back in favour of the second.
  bool holds_first() const { return second_ && overtaken_ >= kOvertakenMost; }
  bool begun() const { return begun_; }  // the client has got something
  // Whether a second attempt would be a hedge: the first is late, but not to be blamed.
  bool hedges() const { return first_ && first_->why == Why::Hedge; }
  std::uint32_t attempts() const { return attempts_; }

  // Whether another engine may do better: the fault is not the request's.
  static bool may_retry(Code code);

 private:
  static constexpr std::uint8_t kOvertakenMost = 2;
  enum class Why : std::uint8_t { Alone, Hedge, Silent };
  struct Running {
    CandidateIndex candidate = 0;
    Why why = Why::Alone;
    Instant overtake_at = Instant::max();  // start another beside it then
    Instant drop_at = Instant::max();
    Duration patience{};  // for each token after the first
    bool unreachable = false;
  };
  bool exhausted() const;
  bool has_place() const { return begun_ || displaced_; }
  Instant latest() const;
  Duration begin_within() const;
  Instant beside_at() const;
  Duration beside_pause() const;
  Duration first_patience(const AttemptForecast& forecast) const;
  void hedge(Running& running, const AttemptForecast& forecast, std::optional<Duration> after,
             Instant now) const;
  Duration next_patience(const AttemptForecast& forecast) const;

  const FailoverOptions* options_;
  Instant deadline_;
  std::optional<Running> first_;
  std::optional<Running> second_;
  Instant shown_;                        // the newest token, or the beginning
  Instant not_before_ = Instant::min();  // the next start
  std::vector<CandidateIndex> failed_;
  std::uint32_t attempts_ = 0;
  std::uint32_t fruitless_ = 0;
  std::uint8_t overtaken_ = 0;  // times in a row that the first came back
  std::uint8_t waits_ = 0;      // plans in a row that found nobody
  ServiceClass service_class_;
  bool streams_;
  bool begun_ = false;
  bool away_ = true;  // what it waits for can't be reached, as far as is known
  bool displaced_ = false;
  bool resumable_ = true;
  bool refused_ = false;  // the last failure was for load
  bool over_ = false;
};

}  // namespace perigee
