// A queue under several times what its slots can do, in virtual time: what is let in is served in
// time, and the classes above do not pay for those below.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <queue>
#include <utility>
#include <vector>

#include "base/random.h"
#include "core/admission.h"
#include "core/class_targets.h"

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};
constexpr std::uint32_t kSlots = 16;
constexpr std::uint32_t kOutputTokens = 20;
constexpr double kTpot_ms = 20;
constexpr double kCapacity_rps = kSlots * 1000 / (kOutputTokens * kTpot_ms);

struct Figures {
  std::array<int, 4> offered{};
  std::array<int, 4> served{};
  std::array<int, 4> in_time{};
  int total_in_time() const { return in_time[0] + in_time[1] + in_time[2] + in_time[3]; }
};

// Offers `times` the capacity in the shares of `mix` for `duration`; answers take 0.5 to 1.5 of the
// mean.
class Overload {
 public:
  Overload(double times, std::array<double, 4> mix) : times_(times), mix_(mix) {
    queue_.set_capacity(
        {.slots = kSlots, .engines = 2, .prefill_tokens_per_s = 1e5, .decode_ms = kTpot_ms});
  }

  Figures run(Duration duration) {
    Instant next = kStart;
    const Instant end = kStart + duration;
    while (next < end) {
      while (!ends_.empty() && ends_.top().first <= next) end_one();
      arrive(next);
      next += from_ms(-1000 / (times_ * kCapacity_rps) * std::log(1 - random_.uniform()));
    }
    return figures_;
  }

 private:
  struct Asked {
    std::size_t level = 0;
    Instant arrived{};
  };

  void arrive(Instant now) {
    double at = random_.uniform();
    std::size_t level = 0;
    while (level < 3 && at >= mix_[level]) at -= mix_[level++];
    AdmissionRequest request;
    request.tenant = TenantId{"a"};
    request.service_class = static_cast<ServiceClass>(level);
    request.prompt_tokens = 50;
    request.output_tokens_max = 64;
    request.elsewhere = from_ms(targets_of(request.service_class).ttft_ms / 4);
    ++figures_.offered[level];
    const AdmissionAnswer answer = queue_.offer(request, now);
    if (answer.ticket == 0) return;
    asked_[answer.ticket] = {level, now};
    if (answer.verdict == AdmissionAnswer::Verdict::Admitted) begin(answer.ticket, now);
    pump(now);
  }
  void end_one() {
    const auto [now, ticket] = ends_.top();
    ends_.pop();
    queue_.finished(ticket, {.usage = {.prompt_tokens = 50, .completion_tokens = kOutputTokens}},
                    now);
    asked_.erase(ticket);
    pump(now);
  }
  void pump(Instant now) {
    while (const AdmissionTicket next = queue_.next(now)) begin(next, now);
    while (const auto dropped = queue_.dropped()) asked_.erase(dropped->ticket);
  }
  void begin(AdmissionTicket ticket, Instant now) {
    const Asked& asked = asked_.at(ticket);
    const auto first = now + milliseconds{1};
    queue_.first_token(ticket, first);
    ++figures_.served[asked.level];
    const double target_ms = targets_of(static_cast<ServiceClass>(asked.level)).ttft_ms;
    if (to_ms(first - asked.arrived) <= target_ms) ++figures_.in_time[asked.level];
    ends_.push({first + from_ms(kOutputTokens * kTpot_ms * (0.5 + random_.uniform())), ticket});
  }

  using End = std::pair<Instant, AdmissionTicket>;
  double times_;
  std::array<double, 4> mix_;
  Random random_{1};
  AdmissionQueue queue_{{.requests_max = 150}};
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::map<AdmissionTicket, Asked> asked_;
  Figures figures_;
};

constexpr std::array<double, 4> kMix{0.1, 0.15, 0.25, 0.5};
constexpr double kServable = kCapacity_rps * 300;

TEST(AdmissionOverload, GoodputHoldsHoweverManyMoreAreOffered) {
  for (const double times : {1.5, 2.0, 3.0, 5.0, 10.0}) {
    const Figures figures = Overload{times, kMix}.run(seconds{300});
    EXPECT_GE(figures.total_in_time(), 0.95 * kServable) << times << " times the capacity";
    if (times > 5) continue;  // realtime alone fills the slots
    const auto realtime = static_cast<std::size_t>(ServiceClass::Realtime);
    EXPECT_GE(figures.in_time[realtime], 0.99 * figures.offered[realtime]) << times;
  }
}

TEST(AdmissionOverload, NobodyIsRefusedWhereAllCanBeServed) {
  const Figures figures = Overload{0.8, kMix}.run(seconds{300});
  for (std::size_t i = 0; i < kMix.size(); ++i) {
    EXPECT_GE(figures.in_time[i], figures.offered[i] - 1) << i;
  }
}

AdmissionRequest interactive() {
  AdmissionRequest request;
  request.tenant = TenantId{"a"};
  request.service_class = ServiceClass::Interactive;
  request.prompt_tokens = 50;
  request.output_tokens = 20;
  request.elsewhere = milliseconds{250};
  return request;
}

// Offers `count` requests at once to engines that stand still meanwhile, lets these go on after
// `stall`, and runs to the end what was let in.
void stall(AdmissionQueue& queue, int count, Duration stall, Instant& now) {
  std::vector<AdmissionTicket> running;
  for (int i = 0; i < count; ++i) {
    const AdmissionAnswer answer = queue.offer(interactive(), now);
    if (answer.verdict == AdmissionAnswer::Verdict::Admitted) running.push_back(answer.ticket);
  }
  now += stall;
  while (!running.empty()) {
    queue.first_token(running.back(), now);
    queue.finished(running.back(), {.usage = {}, .served = false}, now);
    running.pop_back();
    while (const AdmissionTicket next = queue.next(now)) running.push_back(next);
  }
}

// What a margin shuts out can't teach that the margin is not needed any more.
TEST(AdmissionOverload, AStallDoesNotShutTheQueueForGood) {
  AdmissionQueue queue{{}};
  queue.set_capacity({.slots = 4, .prefill_tokens_per_s = 1e5, .decode_ms = 10});
  Instant now = kStart;
  for (int i = 0; i < 20; ++i) stall(queue, 12, seconds{3}, now);
  int waited = 0;
  for (int i = 0; i < 100; ++i) {  // all in time from here on
    std::vector<AdmissionTicket> running;
    int waiting = 0;
    for (int k = 0; k < 8; ++k) {
      const AdmissionAnswer answer = queue.offer(interactive(), now);
      if (answer.verdict == AdmissionAnswer::Verdict::Admitted) running.push_back(answer.ticket);
      if (answer.verdict == AdmissionAnswer::Verdict::Queued) ++waiting;
    }
    waited = waiting;
    for (int k = 0; k < 2; ++k) {
      now += milliseconds{200};
      for (const AdmissionTicket ticket : std::exchange(running, {})) {
        queue.first_token(ticket, now - milliseconds{190});
        queue.finished(ticket, {.usage = {.prompt_tokens = 50, .completion_tokens = 20}}, now);
      }
      while (const AdmissionTicket next = queue.next(now)) running.push_back(next);
    }
  }
  EXPECT_EQ(waited, 4) << "they would wait 200 ms of the 750 that they may";
}

}  // namespace
}  // namespace perigee
