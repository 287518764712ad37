#include "core/pace_limit.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};
constexpr double kNotKnown = std::numeric_limits<double>::infinity();
using Requests = std::array<std::uint32_t, PaceLimit::kClasses>;  // realtime ... batch

// Learned from an engine that takes base + each * requests.
PaceLimit learned(double base_ms, double each_ms) {
  PaceLimit limit;
  Instant now = kStart;
  for (int i = 0; i < 400; ++i) {
    const double running = 1 + i % 40;
    limit.observe(running, base_ms + each_ms * running, now += milliseconds{50});
    limit.ended(10, 10);  // all alike: no margin
  }
  return limit;
}

TEST(PaceLimit, KnowsNoLimitBeforeItHasSeenATime) {
  EXPECT_TRUE(std::isinf(PaceLimit{}.most_running(256, Requests{0, 9, 0, 0}, kStart)));
}

TEST(PaceLimit, RunsAsManyAsKeepThePaceOfTheOnlyClass) {
  const PaceLimit limit = learned(10, 0.2);
  const Instant now = kStart + seconds{20};
  EXPECT_NEAR(limit.most_running(256, Requests{5, 0, 0, 0}, now), 100, 3);   // 30 ms
  EXPECT_NEAR(limit.most_running(256, Requests{0, 5, 0, 0}, now), 200, 6);   // 50 ms
  EXPECT_NEAR(limit.most_running(1000, Requests{0, 0, 5, 0}, now), 450, 9);  // 100 ms
}

TEST(PaceLimit, GivesUpAPaceThatFewNeedAndManyWouldPayFor) {
  const PaceLimit limit = learned(10, 0.2);
  const Instant now = kStart + seconds{20};
  // 100 at 30 ms keep all; 200 at 50 ms bring a fifth more tokens to those who keep theirs.
  EXPECT_NEAR(limit.most_running(256, Requests{10, 90, 0, 0}, now), 200, 6);
  EXPECT_NEAR(limit.most_running(256, Requests{50, 50, 0, 0}, now), 100, 3);
}

TEST(PaceLimit, KeepsAMarginForAnswersThatDiffer) {
  PaceLimit limit = learned(10, 0.2);
  for (int i = 0; i < 400; ++i) limit.ended(i % 2 == 0 ? 9 : 11, 10);
  const double pace_ms = 30 / (1 + kPaceKept_deviations * 0.1);
  EXPECT_NEAR(limit.most_running(256, Requests{5, 0, 0, 0}, kStart + seconds{20}),
              (pace_ms - 10) / 0.2, 4);
}

TEST(PaceLimit, DoesNotEmptyAnEngineThatIsTooSlowForThePace) {
  const PaceLimit limit = learned(60, 2);  // 62 ms alone, 30 ms wanted
  const Instant now = kStart + seconds{20};
  const double most = limit.most_running(32, Requests{8, 0, 0, 0}, now);
  const auto tokens = [](double running) { return running / (60 + 2 * running); };
  EXPECT_NEAR(tokens(most), tokens(32) / 2, 0.01);
  EXPECT_GE(limit.most_running(kNotKnown, Requests{8, 0, 0, 0}, now), most);
}

TEST(PaceLimit, LeavesHalfTheTokensInWholeRequests) {
  const PaceLimit limit = learned(60, 2);
  const Instant now = kStart + seconds{20};
  const auto tokens = [](double running) { return running / (60 + 2 * running); };
  for (const double slots : {1, 2, 3, 4, 5, 8, 13}) {
    const double most = std::floor(limit.most_running(slots, Requests{8, 0, 0, 0}, now));
    EXPECT_GE(tokens(most), tokens(slots) / 2) << slots;
    EXPECT_LE(most, std::ceil(slots / 2)) << slots;
  }
}

}  // namespace
}  // namespace perigee
