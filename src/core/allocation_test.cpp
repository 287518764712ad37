// A program of its own, because it counts every allocation: once warm, a decision makes none.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "core/admission.h"
#include "core/router.h"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace perigee {
namespace {

// Plans and runs `requests` of ever new prompts and sessions; returns the allocations it took.
std::size_t allocations_of(Router& router, std::uint64_t first, std::uint64_t requests) {
  RouteRequest request;
  request.model = ModelId{"demo"};
  request.prompt_tokens = 64 * 40;
  request.prefix_blocks.resize(40);
  request.jurisdictions = {JurisdictionId{"de"}};
  Instant now{seconds{static_cast<std::int64_t>(first)}};
  const std::size_t before = allocations;
  for (std::uint64_t i = first; i < first + requests; ++i) {
    now += milliseconds{10};
    request.session = i + 1;
    for (std::uint64_t k = 0; k < 40; ++k) request.prefix_blocks[k] = (i / 2) * 1000 + k;
    const auto plan = router.plan(request, now);
    const AttemptTicket ticket = router.started(plan->attempts.front().candidate, request, now);
    router.first_token(ticket, now + milliseconds{5});
    router.finished(ticket, {.first_token = milliseconds{5}, .finished = milliseconds{9}}, now);
  }
  return allocations - before;
}

TEST(Allocation, DecisionMakesNoneOnceItsTablesAreFull) {
  Router router{{.prefix_blocks_max = 2000}};
  for (int i = 0; i < 100; ++i) {
    CandidateState state;
    state.id = {.site = SiteId{"a-site-with-a-long-name-" + std::to_string(i)},
                .engine = {},
                .model = ModelId{"demo"}};
    state.jurisdiction = JurisdictionId{"de"};
    state.healthy = true;
    state.load.slots = 8;
    state.load.slots_busy = 1;
    ASSERT_TRUE(router.update(state, Instant{}));
  }
  EXPECT_GT(allocations_of(router, 0, 200), 0U);
  EXPECT_EQ(allocations_of(router, 1000, 2000), 0U);
}

// Offers, releases and ends `requests` of twenty tenants; returns the allocations it took.
std::size_t allocations_of(AdmissionQueue& queue, std::uint64_t first, std::uint64_t requests) {
  std::vector<AdmissionTicket> running;
  running.reserve(100);
  std::vector<AdmissionRequest> kinds(20);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    kinds[i].tenant = TenantId{"a-tenant-with-a-long-name-" + std::to_string(i)};
    kinds[i].service_class = static_cast<ServiceClass>(i % 4);
    kinds[i].prompt_tokens = 100;
  }
  Instant now{seconds{static_cast<std::int64_t>(first)}};
  const std::size_t before = allocations;
  for (std::uint64_t i = first; i < first + requests; ++i) {
    now += milliseconds{10};
    const AdmissionAnswer answer = queue.offer(kinds[i % kinds.size()], now);
    if (answer.verdict == AdmissionAnswer::Verdict::Admitted) running.push_back(answer.ticket);
    if (i % 2 == 0 && !running.empty()) {
      queue.finished(running.back(), {}, now);
      running.pop_back();
    }
    while (const AdmissionTicket next = queue.next(now)) running.push_back(next);
    while (queue.dropped()) {
    }
  }
  const std::size_t made = allocations - before;
  for (const AdmissionTicket ticket : running) queue.finished(ticket, {}, now);
  return made;
}

TEST(Allocation, AdmissionMakesNoneOnceItsTablesAreFull) {
  AdmissionQueue queue{{.requests_max = 50, .idle_tenants_max = 10}};
  queue.set_capacity({.slots = 40, .prefill_tokens_per_s = 1e6, .decode_ms = 1});
  EXPECT_GT(allocations_of(queue, 0, 2000), 0U);
  EXPECT_EQ(allocations_of(queue, 10'000, 2000), 0U);
}

}  // namespace
}  // namespace perigee
