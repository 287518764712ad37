#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/admission.h"

namespace perigee {
namespace {

using Verdict = AdmissionAnswer::Verdict;
using Why = AdmissionRefusal::Why;
constexpr Instant kStart{seconds{100}};

// Four slots, 10,000 tokens/s, 10 ms per token.
AdmissionQueue queue_of(AdmissionOptions options) {
  options.preempts = true;
  AdmissionQueue queue{options};
  queue.set_capacity({.slots = 4, .prefill_tokens_per_s = 10'000, .decode_ms = 10});
  return queue;
}

AdmissionRequest of(const std::string& tenant, ServiceClass service_class,
                    std::uint32_t prompt = 100, std::uint32_t output = 10) {
  AdmissionRequest request;
  request.tenant = TenantId{tenant};
  request.service_class = service_class;
  request.prompt_tokens = prompt;
  request.output_tokens = output;
  return request;
}

// Four batch requests of one tenant that run, the last of them the newest.
std::vector<AdmissionTicket> run_batch(AdmissionQueue& queue) {
  std::vector<AdmissionTicket> running;
  for (int i = 0; i < 4; ++i) {
    const Instant came = kStart + milliseconds{i};
    running.push_back(queue.offer(of("b", ServiceClass::Batch, 100, 1000), came).ticket);
    queue.first_token(running.back(), came + milliseconds{15});
  }
  return running;
}

TEST(AdmissionPreemption, RealtimePreEmptsTheNewestBatchRequestWhichGoesOnLater) {
  AdmissionQueue queue = queue_of({});
  const std::vector<AdmissionTicket> batch = run_batch(queue);
  const Instant now = kStart + seconds{1};
  EXPECT_EQ(queue.preempt(now), 0U) << "nothing waits";
  queue.offer(of("a", ServiceClass::Batch), now);
  EXPECT_EQ(queue.preempt(now), 0U) << "batch waits for batch";
  const AdmissionTicket realtime = queue.offer(of("a", ServiceClass::Realtime), now).ticket;
  ASSERT_NE(realtime, 0U);
  EXPECT_EQ(queue.next(now), 0U);
  EXPECT_EQ(queue.preempt(now), batch[3]);
  queue.requeue(batch[3], 40, now);
  EXPECT_EQ(queue.preempt(now), 0U) << "its slot is free";
  EXPECT_EQ(queue.next(now), realtime);
  EXPECT_EQ(queue.preempt(now), 0U);
  EXPECT_EQ(queue.stats(now).levels[4].requests, 2U);
  EXPECT_EQ(queue.stats(now).tokens, 100U + 100U + 40U);
  queue.finished(realtime, {}, now);
  EXPECT_EQ(queue.next(now), batch[3]) << "under its old ticket, before the one that came later";
  queue.finished(batch[3], {.usage = {.prompt_tokens = 100, .completion_tokens = 1000}}, now);
  EXPECT_EQ(queue.stats(now).running, 3U);
  EXPECT_EQ(queue.stats(now).preempted, 1U);
}

TEST(AdmissionPreemption, WhatHasBegunMakesNoRoomAndIsNotGivenUp) {
  AdmissionQueue queue = queue_of({.requests_max = 2, .wait_max = seconds{10}});
  const std::vector<AdmissionTicket> batch = run_batch(queue);
  const Instant now = kStart + seconds{1};
  queue.requeue(batch[3], 40, now);
  queue.requeue(batch[2], 40, now);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(queue.offer(of("a", ServiceClass::Standard), now).verdict, Verdict::Admitted);
  }
  EXPECT_EQ(queue.offer(of("a", ServiceClass::Standard), now).refusal.why, Why::Full);
  queue.expire(now + seconds{30});
  EXPECT_FALSE(queue.dropped()) << "its client has a part of the answer";
}

TEST(AdmissionPreemption, WhatCanNotGoOnLaterIsNotStopped) {
  AdmissionQueue queue = queue_of({});
  const std::vector<AdmissionTicket> batch = run_batch(queue);
  const Instant now = kStart + seconds{1};
  queue.keep_running(batch[3]);
  queue.keep_running(batch[2]);
  ASSERT_NE(queue.offer(of("a", ServiceClass::Realtime), now).ticket, 0U);
  EXPECT_EQ(queue.preempt(now), batch[1]);
  queue.keep_running(batch[1]);
  queue.keep_running(batch[0]);
  EXPECT_EQ(queue.preempt(now), 0U);
  EXPECT_EQ(queue.offer(of("a", ServiceClass::Realtime), now).verdict, Verdict::Refused)
      << "2.5 s of batch are before it";
}

TEST(AdmissionPreemption, WhatIsOverdueIsNotPreEmpted) {
  AdmissionQueue queue = queue_of({});
  run_batch(queue);
  const Instant late = kStart + seconds{61};
  ASSERT_NE(queue.offer(of("a", ServiceClass::Realtime), late).ticket, 0U);
  EXPECT_EQ(queue.next(late), 0U);
  EXPECT_EQ(queue.preempt(late), 0U);
}

}  // namespace
}  // namespace perigee
