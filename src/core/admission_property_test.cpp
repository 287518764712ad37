// Random traffic at one queue. After every step its bounds and sums are checked against a plain
// list; at the end all is empty. The seed is in every message.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/admission.h"

namespace perigee {
namespace {

constexpr std::uint32_t kRequestsMax = 40;
constexpr std::uint64_t kTokensMax = 60'000;

class Site {
 public:
  explicit Site(std::uint64_t seed)
      : random_(seed),
        queue_({.requests_max = kRequestsMax,
                .tokens_max = kTokensMax,
                .idle_tenants_max = 3,
                .prefill_ahead_tokens = 20'000}) {}

  void step() {
    now_ += milliseconds{random_.below(100)};
    switch (random_.below(8)) {
      case 0: capacity(); break;
      case 1:
        if (!running_.empty()) queue_.first_token(any(running_), now_);
        break;
      case 2: end(); break;
      case 3: cancel(); break;
      default: offer(); break;
    }
    drain();
    check();
  }
  void finish_all() {
    queue_.set_capacity({.slots = 8});
    while (!running_.empty() || !waiting_.empty()) {
      if (!running_.empty()) end();
      drain();
      ASSERT_TRUE(!running_.empty() || waiting_.empty());
    }
    const AdmissionStats stats = queue_.stats(now_);
    EXPECT_EQ(stats.running, 0U);
    EXPECT_EQ(stats.prefilling_tokens, 0U);
    EXPECT_EQ(stats.tokens, 0U);
  }
  const std::string& trace() const { return trace_; }

 private:
  struct Waiting {
    AdmissionTicket ticket;
    std::uint32_t tokens;
    std::size_t level;
  };
  AdmissionTicket any(const std::vector<AdmissionTicket>& among) {
    return among[random_.below(among.size())];
  }
  void capacity() {
    queue_.set_capacity({.slots = static_cast<std::uint32_t>(random_.below(12)),
                         .prefill_tokens_per_s = static_cast<double>(random_.below(30'000)),
                         .decode_ms = static_cast<double>(random_.below(40)),
                         .reserved_share = random_.uniform() * 1.1 - 0.05,
                         .power_share = random_.uniform() * 1.1});
  }
  void offer() {
    AdmissionRequest request;
    request.tenant = TenantId{"a-tenant-with-a-long-name-" + std::to_string(random_.below(9))};
    request.service_class = static_cast<ServiceClass>(random_.below(4));
    request.network_own = random_.below(10) == 0;
    request.prompt_tokens = static_cast<std::uint32_t>(random_.below(8000));
    request.cached_tokens = static_cast<std::uint32_t>(random_.below(3) * random_.below(9000));
    request.output_tokens = static_cast<std::uint32_t>(random_.below(300));
    request.output_tokens_max = static_cast<std::uint32_t>(random_.below(2) * 100);
    if (random_.below(3) == 0) request.deadline = now_ + milliseconds{random_.below(20'000)};
    const AdmissionAnswer answer = queue_.offer(request, now_);
    trace_ += std::to_string(static_cast<int>(answer.verdict));
    EXPECT_EQ(answer.ticket == 0, answer.verdict == AdmissionAnswer::Verdict::Refused);
    if (answer.verdict == AdmissionAnswer::Verdict::Refused) {
      EXPECT_GE(answer.refusal.retry_after, kRetryLeast);
      EXPECT_LE(answer.refusal.retry_after, kRetryMost);
    } else if (answer.verdict == AdmissionAnswer::Verdict::Admitted) {
      running_.push_back(answer.ticket);
    } else {
      const std::uint32_t cached = std::min(request.cached_tokens, request.prompt_tokens);
      waiting_.push_back({.ticket = answer.ticket,
                          .tokens = std::max(1U, request.prompt_tokens - cached),
                          .level = request.network_own
                                       ? 0U
                                       : 1U + static_cast<std::size_t>(request.service_class)});
    }
  }
  void take(AdmissionTicket ticket) {
    const auto found = std::ranges::find(waiting_, ticket, &Waiting::ticket);
    ASSERT_NE(found, waiting_.end());
    waiting_.erase(found);
  }
  void drain() {
    while (const AdmissionTicket ticket = queue_.next(now_)) {
      trace_ += "n" + std::to_string(ticket);
      take(ticket);
      running_.push_back(ticket);
    }
    while (const auto drop = queue_.dropped()) {
      trace_ += "d" + std::to_string(drop->ticket);
      take(drop->ticket);
    }
  }
  void end() {
    if (running_.empty()) return;
    const AdmissionTicket ticket = any(running_);
    std::erase(running_, ticket);
    AdmissionOutcome outcome;
    outcome.served = random_.below(4) != 0;
    outcome.usage.prompt_tokens = static_cast<std::uint32_t>(random_.below(9000));
    outcome.usage.cached_tokens = static_cast<std::uint32_t>(random_.below(9000));
    outcome.usage.completion_tokens = static_cast<std::uint32_t>(random_.below(400));
    queue_.finished(ticket, outcome, now_);
    queue_.finished(ticket, outcome, now_);  // a second time does nothing
  }
  void cancel() {
    if (waiting_.empty()) return;
    const AdmissionTicket ticket = waiting_[random_.below(waiting_.size())].ticket;
    queue_.cancel(ticket, now_);
    take(ticket);
  }
  void check() {
    const AdmissionStats stats = queue_.stats(now_);
    std::uint64_t tokens = 0;
    std::array<std::uint32_t, AdmissionStats::kLevels> levels{};
    for (const Waiting& request : waiting_) {
      tokens += request.tokens;
      ++levels[request.level];
    }
    EXPECT_EQ(stats.requests, waiting_.size());
    EXPECT_EQ(stats.tokens, tokens);
    EXPECT_EQ(stats.running, running_.size());
    EXPECT_LE(waiting_.size(), kRequestsMax);
    EXPECT_TRUE(tokens <= kTokensMax || waiting_.size() == 1);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      EXPECT_EQ(stats.levels[i].requests, levels[i]);
      EXPECT_GE(stats.levels[i].wait_predicted, Duration{});
    }
  }

  Random random_;
  AdmissionQueue queue_;
  Instant now_{seconds{1000}};
  std::vector<Waiting> waiting_;
  std::vector<AdmissionTicket> running_;
  std::string trace_;
};

TEST(AdmissionProperty, KeepsItsBoundsAndSumsUnderRandomTraffic) {
  for (std::uint64_t seed = 1; seed <= 30 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Site site{seed};
    for (int i = 0; i < 2000 && !::testing::Test::HasFailure(); ++i) site.step();
    site.finish_all();
  }
}

TEST(AdmissionProperty, SameTrafficSameOrder) {
  Site one{7};
  Site two{7};
  for (int i = 0; i < 2000; ++i) {
    one.step();
    two.step();
  }
  EXPECT_EQ(one.trace(), two.trace());
  EXPECT_GT(one.trace().size(), 1500U);
}

}  // namespace
}  // namespace perigee
