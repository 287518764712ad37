// Requests with several answers (n, or several prompts).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/admission.h"

namespace perigee {
namespace {

using Verdict = AdmissionAnswer::Verdict;
constexpr Instant kStart{seconds{100}};

// 10 ms per token.
AdmissionQueue queue_of(std::uint32_t slots, AdmissionOptions options = {}) {
  AdmissionQueue queue{options};
  queue.set_capacity({.slots = slots, .prefill_tokens_per_s = 1e6, .decode_ms = 10});
  return queue;
}

AdmissionRequest of(const std::string& tenant, std::uint32_t choices = 1) {
  AdmissionRequest request;
  request.tenant = TenantId{tenant};
  request.service_class = ServiceClass::Batch;
  request.prompt_tokens = 100;
  request.output_tokens = 10;
  request.choices = choices;
  return request;
}

TEST(AdmissionQueue, ChargesEachAnswerOfARequestAsItIsReleased) {
  AdmissionQueue queue = queue_of(1, {.fair_slack_tokens = 0});
  AdmissionTicket running = queue.offer(of("filler"), kStart).ticket;
  const AdmissionRequest many = of("many", 16);  // 420, against 120 each
  std::vector<AdmissionTicket> wanted{queue.offer(many, kStart).ticket};
  const AdmissionTicket last = queue.offer(many, kStart).ticket;
  for (int i = 0; i < 4; ++i) wanted.push_back(queue.offer(of("single"), kStart).ticket);
  wanted.push_back(last);
  for (const AdmissionTicket next : wanted) {
    queue.finished(running, {}, kStart);
    running = queue.next(kStart);
    EXPECT_EQ(running, next);
  }
}

TEST(AdmissionQueue, EachAnswerOfARequestTakesASlot) {
  AdmissionQueue queue = queue_of(4);
  const AdmissionTicket running = queue.offer(of("a", 3), kStart).ticket;
  queue.first_token(running, kStart);
  EXPECT_EQ(queue.offer(of("b"), kStart).verdict, Verdict::Admitted);
  const AdmissionAnswer waits = queue.offer(of("b"), kStart);
  EXPECT_EQ(waits.verdict, Verdict::Queued);
  EXPECT_EQ(queue.stats(kStart).running, 4U);
  queue.finished(running, {.usage = {.prompt_tokens = 100, .completion_tokens = 30}},
                 kStart + milliseconds{90});
  EXPECT_EQ(queue.next(kStart + milliseconds{90}), waits.ticket);
  EXPECT_EQ(queue.stats(kStart).running, 2U);
  EXPECT_NEAR(queue.stats(kStart).tpot_ms, 10, 0.5) << "ten tokens each in 90 ms";
}

TEST(AdmissionQueue, PredictsTheWaitBehindEachAnswerOfARequest) {
  AdmissionQueue queue = queue_of(4);
  EXPECT_EQ(queue.offer(of("a", 4), kStart).verdict, Verdict::Admitted);
  EXPECT_EQ(queue.offer(of("a", 8), kStart).verdict, Verdict::Queued);
  const AdmissionAnswer last = queue.offer(of("a"), kStart);
  EXPECT_EQ(last.verdict, Verdict::Queued);
  // 100 ms an answer and four at once: a slot each 25 ms, for nine that come before.
  EXPECT_NEAR(to_ms(last.wait_predicted), 225, 1);
}

}  // namespace
}  // namespace perigee
