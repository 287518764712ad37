#include "core/admission.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace perigee {
namespace {

using Verdict = AdmissionAnswer::Verdict;
using Why = AdmissionRefusal::Why;
constexpr Instant kStart{seconds{100}};

// 10,000 tokens/s, 10 ms per token.
constexpr AdmissionCapacity kFourSlots{.slots = 4, .prefill_tokens_per_s = 10'000, .decode_ms = 10};
AdmissionQueue queue_of(AdmissionCapacity capacity = kFourSlots, AdmissionOptions options = {}) {
  AdmissionQueue queue{options};
  queue.set_capacity(capacity);
  return queue;
}

AdmissionRequest of(const std::string& tenant, ServiceClass service_class = ServiceClass::Standard,
                    std::uint32_t prompt = 100, std::uint32_t output = 10) {
  AdmissionRequest request;
  request.tenant = TenantId{tenant};
  request.service_class = service_class;
  request.prompt_tokens = prompt;
  request.output_tokens = output;
  return request;
}

// Takes every slot with requests of `tenant` and hands out their tickets.
std::vector<AdmissionTicket> fill(AdmissionQueue& queue, const std::string& tenant = "filler") {
  std::vector<AdmissionTicket> running;
  for (;;) {
    const AdmissionAnswer answer = queue.offer(of(tenant), kStart);
    if (answer.verdict != Verdict::Admitted) {
      queue.cancel(answer.ticket, kStart);
      return running;
    }
    queue.first_token(answer.ticket, kStart + milliseconds{15});
    running.push_back(answer.ticket);
  }
}

// Ends one running request and says which ticket goes next.
AdmissionTicket turn(AdmissionQueue& queue, std::vector<AdmissionTicket>& running, Instant now) {
  queue.finished(running.back(), {}, now);
  running.pop_back();
  const AdmissionTicket next = queue.next(now);
  if (next != 0) {
    queue.first_token(next, now + milliseconds{15});
    running.push_back(next);
  }
  return next;
}

TEST(AdmissionQueue, AdmitsAsLongAsSlotsAreFree) {
  AdmissionQueue queue = queue_of();
  std::vector<AdmissionTicket> running = fill(queue);
  EXPECT_EQ(running.size(), 4U);
  const AdmissionAnswer waiting = queue.offer(of("a"), kStart);
  EXPECT_EQ(waiting.verdict, Verdict::Queued);
  EXPECT_GT(waiting.wait_predicted, Duration{});
  EXPECT_EQ(queue.next(kStart), 0U);
  EXPECT_EQ(turn(queue, running, kStart + milliseconds{20}), waiting.ticket);
  EXPECT_EQ(queue.next(kStart + milliseconds{20}), 0U);
}

TEST(AdmissionQueue, ReleasesStrictlyByClass) {
  AdmissionQueue queue = queue_of();
  std::vector<AdmissionTicket> running = fill(queue);
  std::vector<AdmissionTicket> wanted;
  for (const ServiceClass lower : {ServiceClass::Batch, ServiceClass::Standard,
                                   ServiceClass::Interactive, ServiceClass::Realtime}) {
    wanted.insert(wanted.begin(), queue.offer(of("a", lower), kStart).ticket);
  }
  AdmissionRequest own = of("radio", ServiceClass::Batch);
  own.network_own = true;
  wanted.insert(wanted.begin(), queue.offer(own, kStart).ticket);
  for (const AdmissionTicket ticket : wanted) EXPECT_EQ(turn(queue, running, kStart), ticket);
}

TEST(AdmissionQueue, ReleasesTheEarliestDueFirstWithinAClass) {
  AdmissionQueue queue = queue_of();
  std::vector<AdmissionTicket> running = fill(queue);
  std::map<int, AdmissionTicket> by_deadline;
  for (const int deadline_s : {4, 2, 9, 3}) {
    AdmissionRequest request = of(deadline_s % 2 == 0 ? "a" : "b");
    request.deadline = kStart + seconds{deadline_s};
    by_deadline[deadline_s] = queue.offer(request, kStart).ticket;
  }
  by_deadline[5] = queue.offer(of("c"), kStart).ticket;  // the class's target
  for (const auto& [deadline_s, ticket] : by_deadline) {
    EXPECT_EQ(turn(queue, running, kStart), ticket) << deadline_s;
  }
}

TEST(AdmissionQueue, SharesTokensEvenlyBetweenTenantsThatAlwaysWait) {
  AdmissionQueue queue =
      queue_of({.slots = 4, .prefill_tokens_per_s = 1e6, .decode_ms = 1}, {.fair_slack_tokens = 0});
  std::vector<AdmissionTicket> running = fill(queue);
  std::map<AdmissionTicket, std::string> owner;
  std::map<std::string, double> served;
  const auto offer = [&](const std::string& tenant) {
    const std::uint32_t prompt = tenant == "large" ? 1000 : 100;
    const AdmissionAnswer answer = queue.offer(of(tenant, ServiceClass::Batch, prompt, 10), kStart);
    ASSERT_EQ(answer.verdict, Verdict::Queued);
    owner[answer.ticket] = tenant;
  };
  for (int i = 0; i < 50; ++i) offer("large");
  for (int i = 0; i < 50; ++i) offer("small");
  for (int i = 0; i < 2000; ++i) {
    const AdmissionTicket next = turn(queue, running, kStart);
    ASSERT_NE(next, 0U);
    const std::string tenant = owner[next];
    served[tenant] += tenant == "large" ? 1020 : 120;
    offer(tenant);
  }
  EXPECT_NEAR(served["large"] / served["small"], 1, 0.02);
}

TEST(AdmissionQueue, ChargesOutputTokensTwiceAndByWhatCameOut) {
  AdmissionQueue queue =
      queue_of({.slots = 1, .prefill_tokens_per_s = 1e6, .decode_ms = 1}, {.fair_slack_tokens = 0});
  const AdmissionTicket talker = queue.offer(of("talker", ServiceClass::Batch), kStart).ticket;
  const AdmissionTicket after = queue.offer(of("talker", ServiceClass::Batch), kStart).ticket;
  const AdmissionTicket brief = queue.offer(of("brief", ServiceClass::Batch), kStart).ticket;
  queue.finished(talker, {.usage = {.prompt_tokens = 100, .completion_tokens = 500}}, kStart);
  EXPECT_EQ(queue.next(kStart), brief);
  queue.finished(brief, {.usage = {.prompt_tokens = 100, .completion_tokens = 1}}, kStart);
  EXPECT_EQ(queue.next(kStart), after);
}

TEST(AdmissionQueue, GivesATenantThatComesBackNoCreditForItsIdleness) {
  AdmissionQueue queue =
      queue_of({.slots = 1, .prefill_tokens_per_s = 1e6, .decode_ms = 1}, {.fair_slack_tokens = 0});
  std::vector<AdmissionTicket> running = fill(queue, "idle");
  std::vector<AdmissionTicket> busy;
  for (int i = 0; i < 200; ++i) {
    busy.push_back(queue.offer(of("busy", ServiceClass::Standard), kStart).ticket);
  }
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(turn(queue, running, kStart), busy[i]);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(queue.offer(of("idle"), kStart).verdict, Verdict::Queued);
  }
  int of_busy = 0;
  for (int i = 0; i < 40; ++i) {
    const AdmissionTicket next = turn(queue, running, kStart);
    of_busy += std::ranges::find(busy, next) != busy.end() ? 1 : 0;
  }
  EXPECT_NEAR(of_busy, 20, 1);
}

TEST(AdmissionQueue, AFloodDelaysItsOwnTenantOnly) {
  AdmissionQueue queue = queue_of({.slots = 1, .prefill_tokens_per_s = 10'000, .decode_ms = 10},
                                  {.fair_slack_tokens = 0});
  std::vector<AdmissionTicket> running = fill(queue);
  int queued = 0;
  AdmissionAnswer last;
  for (int i = 0; i < 1000; ++i) {
    last = queue.offer(of("flood", ServiceClass::Interactive), kStart);
    queued += last.verdict == Verdict::Queued ? 1 : 0;
  }
  EXPECT_EQ(last.verdict, Verdict::Refused);
  EXPECT_EQ(last.refusal.why, Why::TooLate);
  EXPECT_LT(queued, 20);  // a second of target, a tenth per request
  const AdmissionAnswer other = queue.offer(of("other", ServiceClass::Interactive), kStart);
  EXPECT_EQ(other.verdict, Verdict::Queued);
  EXPECT_LT(to_ms(other.wait_predicted), 300);
}

// Issue 5: 48 short requests fit into a slack of 8,192 tokens, and went before another tenant's
// one.
TEST(AdmissionQueue, WhoComesNewToAFloodOfShortRequestsWaitsForTwoOfThem) {
  for (const bool due_first : {true, false}) {
    AdmissionQueue queue = queue_of({.slots = 4, .prefill_tokens_per_s = 1e6, .decode_ms = 1});
    std::vector<AdmissionTicket> running = fill(queue, "flood");
    for (int i = 0; i < 48; ++i) {
      ASSERT_EQ(queue.offer(of("flood", ServiceClass::Standard, 30, 32), kStart).verdict,
                Verdict::Queued);
    }
    const Instant later = kStart + milliseconds{100};  // due after all of the flood
    AdmissionRequest request = of("other", ServiceClass::Standard, 30, 32);
    if (due_first) request.deadline = later + seconds{1};
    for (int turn_of_other = 0; turn_of_other < 5; ++turn_of_other) {
      const AdmissionAnswer other = queue.offer(request, later);
      ASSERT_EQ(other.verdict, Verdict::Queued);
      EXPECT_LT(to_ms(other.wait_predicted), 3 * 32) << "of it, too, is thought no more";
      int before = 0;
      while (turn(queue, running, later) != other.ticket) ++before;
      EXPECT_LE(before, 2) << turn_of_other;
    }
  }
}

TEST(AdmissionQueue, RefusesEarlyWhatCanNotMeetItsDeadline) {
  AdmissionQueue queue = queue_of();
  AdmissionRequest request = of("a", ServiceClass::Batch, 1000, 100);  // 0.1 s + 1 s
  request.deadline = kStart + milliseconds{1050};
  EXPECT_EQ(queue.offer(request, kStart).refusal.why, Why::TooLate);
  request.deadline = kStart + milliseconds{1200};
  const AdmissionAnswer admitted = queue.offer(request, kStart);
  EXPECT_EQ(admitted.verdict, Verdict::Admitted);
  queue.finished(admitted.ticket, {}, kStart);
  fill(queue);
  AdmissionAnswer answer;
  for (int i = 0; i < 100; ++i) {
    request.deadline = kStart + milliseconds{2000};
    answer = queue.offer(request, kStart);
  }
  EXPECT_EQ(answer.verdict, Verdict::Refused);
  EXPECT_GE(answer.refusal.retry_after, kRetryLeast);
  EXPECT_LE(answer.refusal.retry_after, kRetryMost);
  EXPECT_EQ(queue.stats(kStart).running, 4U);
}

TEST(AdmissionQueue, LetsALongPromptWaitAlthoughItsPrefillTakesTheWholeTarget) {
  AdmissionQueue queue = queue_of();
  fill(queue);
  const AdmissionRequest book = of("a", ServiceClass::Standard, 100'000, 10);  // 10 s > 5 s
  EXPECT_EQ(queue.offer(book, kStart).verdict, Verdict::Queued);
}

TEST(AdmissionQueue, DropsAQueuedRequestWhoseDeadlineHasBecomeImpossible) {
  AdmissionQueue queue = queue_of();
  std::vector<AdmissionTicket> running = fill(queue);
  AdmissionRequest request = of("a");
  request.deadline = kStart + milliseconds{500};
  const AdmissionTicket late = queue.offer(request, kStart).ticket;
  const AdmissionTicket patient = queue.offer(of("a"), kStart).ticket;
  EXPECT_FALSE(queue.dropped());
  EXPECT_EQ(turn(queue, running, kStart + seconds{1}), patient);
  const auto drop = queue.dropped();
  ASSERT_TRUE(drop);
  EXPECT_EQ(drop->ticket, late);
  EXPECT_EQ(drop->refusal.why, Why::TooLate);
  EXPECT_FALSE(queue.dropped());
}

TEST(AdmissionQueue, WhenFullTheNewestOfTheLowestClassMakesRoom) {
  AdmissionQueue queue =
      queue_of({.slots = 4, .prefill_tokens_per_s = 1e6, .decode_ms = 1}, {.requests_max = 3});
  fill(queue);
  const AdmissionTicket old_batch = queue.offer(of("a", ServiceClass::Batch), kStart).ticket;
  const AdmissionTicket new_batch = queue.offer(of("b", ServiceClass::Batch), kStart).ticket;
  const AdmissionTicket standard = queue.offer(of("c", ServiceClass::Standard), kStart).ticket;
  const auto dropped_for = [&](ServiceClass newcomer) {
    EXPECT_EQ(queue.offer(of("d", newcomer), kStart).verdict, Verdict::Queued);
    const auto drop = queue.dropped();
    EXPECT_TRUE(drop && drop->refusal.why == Why::Full);
    return drop ? drop->ticket : 0;
  };
  EXPECT_EQ(dropped_for(ServiceClass::Realtime), new_batch);
  EXPECT_EQ(dropped_for(ServiceClass::Interactive), old_batch);
  EXPECT_EQ(dropped_for(ServiceClass::Interactive), standard);
  const AdmissionAnswer refused = queue.offer(of("e", ServiceClass::Batch), kStart);
  EXPECT_EQ(refused.verdict, Verdict::Refused);
  EXPECT_EQ(refused.refusal.why, Why::Full);
  EXPECT_FALSE(queue.dropped());
}

TEST(AdmissionQueue, WhenFullOfOneTenantAnotherOfItsClassStillGetsIn) {
  AdmissionQueue queue =
      queue_of({.slots = 4, .prefill_tokens_per_s = 1e6, .decode_ms = 1}, {.requests_max = 10});
  fill(queue);
  std::vector<AdmissionTicket> flood;
  for (int i = 0; i < 10; ++i) flood.push_back(queue.offer(of("flood"), kStart).ticket);
  EXPECT_EQ(queue.offer(of("flood"), kStart).refusal.why, Why::Full);
  int others = 0;
  while (queue.offer(of("other"), kStart).verdict == Verdict::Queued) ++others;
  EXPECT_EQ(others, 5);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(queue.dropped()->ticket, flood[9 - i]);
}

TEST(AdmissionQueue, BoundsTheTokensThatWaitButLetsOneRequestOfAnySizeIn) {
  AdmissionQueue queue =
      queue_of({.slots = 4, .prefill_tokens_per_s = 1e7, .decode_ms = 1}, {.tokens_max = 1000});
  std::vector<AdmissionTicket> running = fill(queue);
  const AdmissionAnswer huge = queue.offer(of("a", ServiceClass::Batch, 50'000), kStart);
  EXPECT_EQ(huge.verdict, Verdict::Queued);
  EXPECT_EQ(queue.offer(of("a", ServiceClass::Batch, 1), kStart).refusal.why, Why::Full);
  EXPECT_EQ(turn(queue, running, kStart), huge.ticket);
  EXPECT_EQ(queue.offer(of("a", ServiceClass::Batch, 900), kStart).verdict, Verdict::Queued);
  EXPECT_EQ(queue.offer(of("a", ServiceClass::Batch, 200), kStart).refusal.why, Why::Full);
}

TEST(AdmissionQueue, BatchMovesOnThoughRealtimeNeverStopsComing) {
  AdmissionQueue queue = queue_of({.slots = 1, .prefill_tokens_per_s = 1e6, .decode_ms = 1});
  std::vector<AdmissionTicket> running = fill(queue);
  const AdmissionTicket batch = queue.offer(of("a", ServiceClass::Batch), kStart).ticket;
  Instant now = kStart;
  const auto releases_before_batch = [&](int most) {
    for (int i = 0; i < most; ++i) {
      EXPECT_EQ(queue.offer(of("b", ServiceClass::Realtime), now).verdict, Verdict::Queued);
      if (turn(queue, running, now) == batch) return i;
    }
    return -1;
  };
  EXPECT_EQ(releases_before_batch(100), -1);
  now += seconds{61};
  const int waited = releases_before_batch(100);
  EXPECT_GE(waited, 0);
  EXPECT_LT(waited, static_cast<int>(kOverdueEvery));
  EXPECT_EQ(queue.stats(now).overdue_released, 1U);
}

TEST(AdmissionQueue, KeepsTheReserveForTheNetworksOwnWork) {
  AdmissionQueue queue = queue_of({.slots = 10,
                                   .prefill_tokens_per_s = 10'000,
                                   .decode_ms = 10,
                                   .reserved_share = 0.25,
                                   .power_share = 0.8});
  EXPECT_EQ(fill(queue).size(), 6U);
  EXPECT_EQ(queue.stats(kStart).slots, 6U);
  EXPECT_EQ(queue.stats(kStart).slots_network, 8U);
  AdmissionRequest own = of("radio");
  own.network_own = true;
  EXPECT_EQ(queue.offer(own, kStart).verdict, Verdict::Admitted);
  EXPECT_EQ(queue.offer(own, kStart).verdict, Verdict::Admitted);
  EXPECT_EQ(queue.offer(own, kStart).verdict, Verdict::Queued);
}

TEST(AdmissionQueue, RefusesAllWithoutPowerAndStopsNothingThatRuns) {
  AdmissionQueue queue = queue_of();
  std::vector<AdmissionTicket> running = fill(queue);
  const AdmissionTicket waiting = queue.offer(of("a"), kStart).ticket;
  queue.set_capacity({.slots = 4, .power_share = 0});
  EXPECT_EQ(queue.offer(of("a"), kStart).refusal.why, Why::NoCapacity);
  EXPECT_EQ(turn(queue, running, kStart), 0U);
  EXPECT_EQ(queue.stats(kStart).running, 3U);
  queue.set_capacity({.slots = 4});
  EXPECT_EQ(queue.next(kStart), waiting);
}

TEST(AdmissionQueue, HoldsPromptsBackThatWouldOnlyWaitInTheEngine) {
  AdmissionQueue queue = queue_of({.slots = 64, .prefill_tokens_per_s = 10'000, .decode_ms = 10},
                                  {.prefill_ahead_tokens = 2000});
  const AdmissionTicket first = queue.offer(of("a", ServiceClass::Batch, 1500), kStart).ticket;
  EXPECT_EQ(queue.offer(of("a", ServiceClass::Batch, 1500), kStart).verdict, Verdict::Admitted);
  const AdmissionAnswer third = queue.offer(of("a", ServiceClass::Batch, 1500), kStart);
  EXPECT_EQ(third.verdict, Verdict::Queued);
  EXPECT_NEAR(to_ms(third.wait_predicted), 300, 1);
  const AdmissionTicket voice = queue.offer(of("b", ServiceClass::Realtime), kStart).ticket;
  queue.first_token(first, kStart + milliseconds{150});
  EXPECT_EQ(queue.next(kStart + milliseconds{150}), voice);
}

TEST(AdmissionQueue, GivesEachEngineItsPromptsAhead) {
  AdmissionQueue queue =
      queue_of({.slots = 64, .engines = 3, .prefill_tokens_per_s = 30'000, .decode_ms = 10},
               {.prefill_ahead_tokens = 2000});
  int admitted = 0;
  while (queue.offer(of("a", ServiceClass::Batch, 1500), kStart).verdict == Verdict::Admitted) {
    ++admitted;
  }
  EXPECT_EQ(admitted, 6);  // two each: the second while the first is not over the bound
}

TEST(AdmissionQueue, AHugePromptAtOneEngineHoldsUpNoOther) {
  AdmissionQueue queue =
      queue_of({.slots = 64, .engines = 2, .prefill_tokens_per_s = 20'000, .decode_ms = 10});
  const AdmissionTicket huge = queue.offer(of("a", ServiceClass::Batch, 120'000), kStart).ticket;
  for (int i = 0; i < 16; ++i) {
    const AdmissionAnswer answer = queue.offer(of("b", ServiceClass::Realtime, 1000), kStart);
    EXPECT_EQ(answer.verdict, i < 4 ? Verdict::Admitted : Verdict::Refused) << i;  // 500 ms
  }
  const AdmissionTicket more = queue.offer(of("b", ServiceClass::Batch, 60'000), kStart).ticket;
  queue.placed(more, 0, kStart);  // behind the huge one after all
  const AdmissionAnswer batch = queue.offer(of("b", ServiceClass::Batch, 1000), kStart);
  EXPECT_EQ(batch.verdict, Verdict::Admitted);
  queue.finished(huge, {}, kStart);
  queue.finished(more, {}, kStart);
  EXPECT_EQ(queue.stats(kStart).prefilling_tokens, 5000U);
}

TEST(AdmissionQueue, CountsWhatAnEngineHasPrefilledSinceItsLastWord) {
  AdmissionQueue queue = queue_of();
  ASSERT_EQ(queue.offer(of("a", ServiceClass::Batch, 50'000), kStart).verdict, Verdict::Admitted);
  const AdmissionAnswer next = queue.offer(of("a", ServiceClass::Batch), kStart);
  EXPECT_EQ(next.verdict, Verdict::Queued);
  EXPECT_NEAR(to_ms(next.wait_predicted), 5000, 1);
  EXPECT_NEAR(to_ms(queue.stats(kStart + seconds{2}).levels[4].wait_predicted), 3010, 1);
  EXPECT_EQ(queue.next(kStart + seconds{2}), 0U);
  EXPECT_EQ(queue.next(kStart + milliseconds{3500}), next.ticket);
}

TEST(AdmissionQueue, LearnsTheRateFromWhatItSees) {
  AdmissionQueue queue = queue_of({.slots = 1, .prefill_tokens_per_s = 10'000, .decode_ms = 10});
  Instant now = kStart;
  for (std::uint32_t i = 0; i < 50; ++i) {
    const AdmissionTicket ticket =
        queue.offer(of("a", ServiceClass::Batch, 1000 + i * 100, 50), now).ticket;
    ASSERT_NE(ticket, 0U);
    const Duration prefill = milliseconds{500 + i * 50};  // 2,000 tokens/s
    queue.first_token(ticket, now + prefill);
    now += prefill + milliseconds{49 * 40};  // 40 ms per token
    queue.finished(ticket, {.usage = {.prompt_tokens = 1000, .completion_tokens = 50}}, now);
  }
  EXPECT_NEAR(queue.stats(now).ms_per_token, 0.5, 0.05);
  EXPECT_NEAR(queue.stats(now).tpot_ms, 40, 4);
}

TEST(AdmissionQueue, RefusesWhatWaitedTooLongWhereverItStands) {
  AdmissionQueue queue = queue_of(kFourSlots, {.wait_max = seconds{5}});
  fill(queue);
  const AdmissionTicket old = queue.offer(of("a", ServiceClass::Batch), kStart).ticket;
  AdmissionRequest hasty = of("b", ServiceClass::Batch);
  hasty.deadline = kStart + seconds{2};
  const AdmissionTicket late = queue.offer(hasty, kStart).ticket;
  const AdmissionTicket young = queue.offer(of("a"), kStart + seconds{1}).ticket;
  ASSERT_TRUE(old != 0 && late != 0 && young != 0);
  queue.expire(kStart + seconds{1});
  EXPECT_FALSE(queue.dropped());
  queue.expire(kStart + seconds{3});
  const auto first = queue.dropped();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->ticket, late);
  EXPECT_EQ(first->refusal.why, Why::TooLate);
  queue.expire(kStart + milliseconds{5'001});
  const auto second = queue.dropped();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->ticket, old);
  EXPECT_FALSE(queue.dropped());
  EXPECT_EQ(queue.stats(kStart).requests, 1U);
}

TEST(AdmissionQueue, ExpectsHigherClassesToKeepComing) {
  AdmissionQueue queue = queue_of({.slots = 1, .prefill_tokens_per_s = 10'000, .decode_ms = 10});
  std::vector<AdmissionTicket> running = fill(queue);
  const auto interactive_ms = [&](Instant now) {
    return to_ms(queue.stats(now).levels[2].wait_predicted);
  };
  EXPECT_NEAR(interactive_ms(kStart), 100, 1) << "ten tokens";
  // Realtime that takes 100 ms of the only slot comes every 200 ms: half of it is left.
  Instant now = kStart;
  for (int i = 0; i < 200; ++i, now += milliseconds{200}) {
    queue.cancel(queue.offer(of("r", ServiceClass::Realtime, 1, 10), now).ticket, now);
  }
  EXPECT_NEAR(interactive_ms(now), 200, 20);
  EXPECT_NEAR(to_ms(queue.stats(now).levels[1].wait_predicted), 100, 1) << "nobody goes before it";
  EXPECT_NEAR(interactive_ms(now + seconds{60}), 100, 1) << "and then no more";
}

TEST(AdmissionQueue, CancelGivesSlotsAndPlacesBack) {
  AdmissionQueue queue = queue_of();
  std::vector<AdmissionTicket> running = fill(queue);
  const AdmissionTicket gone = queue.offer(of("a"), kStart).ticket;
  const AdmissionTicket stays = queue.offer(of("a"), kStart).ticket;
  queue.cancel(gone, kStart);
  queue.cancel(gone, kStart);
  queue.cancel(running.back(), kStart);
  EXPECT_EQ(queue.next(kStart), stays);
  queue.finished(gone, {}, kStart);
  EXPECT_EQ(queue.stats(kStart).running, 4U);
  EXPECT_EQ(queue.stats(kStart).requests, 0U);
}

TEST(AdmissionQueue, AdmitsAllWhenSlotsAreUnknownUpToItsMaximum) {
  AdmissionQueue queue = queue_of({}, {.running_max = 20});
  EXPECT_EQ(fill(queue).size(), 20U);
  EXPECT_EQ(queue.stats(kStart).slots, 0U);
}

TEST(AdmissionQueue, RefusesNoRealtimeWhileHalfOfASlowEnginesSlotsAreFree) {
  AdmissionQueue queue = queue_of({.slots = 4, .prefill_tokens_per_s = 3'000, .decode_ms = 25});
  const AdmissionAnswer one = queue.offer(of("a", ServiceClass::Realtime), kStart);
  queue.first_token(one.ticket, kStart + milliseconds{40});
  const Instant later = kStart + milliseconds{100};
  EXPECT_EQ(queue.offer(of("b", ServiceClass::Realtime), later).verdict, Verdict::Admitted);
}

TEST(AdmissionQueue, WhatBeganElsewhereStandsBeforeAllAndIsRefusedForNobodyWhoHasNothing) {
  AdmissionOptions options;
  options.requests_max = 3;
  AdmissionQueue queue = queue_of(kFourSlots, options);
  std::vector<AdmissionTicket> running = fill(queue);
  std::vector<AdmissionTicket> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(queue.offer(of("a"), kStart).ticket);
  ASSERT_NE(waiting.back(), 0U);
  ASSERT_EQ(queue.offer(of("a"), kStart).refusal.why, Why::Full);
  AdmissionRequest begun = of("a", ServiceClass::Standard, 5'000, 2'000);
  begun.begun = true;
  const AdmissionAnswer answer = queue.offer(begun, kStart);
  ASSERT_EQ(answer.verdict, Verdict::Queued);
  const auto dropped = queue.dropped();
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->ticket, waiting.back()) << "the newest makes room";
  EXPECT_EQ(turn(queue, running, kStart + milliseconds{20}), answer.ticket);
  EXPECT_EQ(turn(queue, running, kStart + milliseconds{40}), waiting[0]);
}

}  // namespace
}  // namespace perigee
