// Answers in one piece: nothing of them is shown before all of it.
#include <gtest/gtest.h>

#include "core/failover.h"

namespace perigee {
namespace {

using Action = Failover::Action;
using Side = Failover::Side;

class WholeAnswerTest : public testing::Test {
 protected:
  static constexpr AttemptForecast kForecast{.ttft_ms = 100, .uncertainty_ms = 10, .tpot_ms = 20};

  WholeAnswerTest() { options_.first_token_max = seconds{600}; }
  // One under way, at candidate 1.
  Failover running() {
    Failover::Request request;
    request.streams = false;
    Failover failover{options_, request, now_};
    EXPECT_EQ(failover.decide(now_).action, Action::Start);
    failover.started(Side::First, 1, kForecast, std::nullopt, now_);
    return failover;
  }
  void start_beside(Failover& failover, CandidateIndex candidate) {
    ASSERT_EQ(failover.decide(now_).action, Action::StartBeside);
    failover.started(Side::Second, candidate, kForecast, std::nullopt, now_);
  }
  // Lets the time pass that it asks for, and gives what it then wants.
  Action after_waiting(const Failover& failover) {
    const Failover::Decision wait = failover.decide(now_);
    EXPECT_EQ(wait.action, Action::Wait);
    waited_ = wait.until - now_;
    now_ = wait.until;
    return failover.decide(now_).action;
  }

  FailoverOptions options_;
  Instant now_{seconds{1000}};
  Duration waited_{};
};

TEST_F(WholeAnswerTest, ItsSilenceIsNotOvertaken) {
  const Failover failover = running();
  EXPECT_EQ(after_waiting(failover), Action::DropFirst);
  EXPECT_EQ(waited_, seconds{600});
}

TEST_F(WholeAnswerTest, IsBegunAtAnotherAtOnceWhenItsEngineCannotBeReached) {
  Failover failover = running();
  now_ += seconds{5};
  failover.unreachable(now_);
  start_beside(failover, 2);
  EXPECT_EQ(failover.tried(), (std::vector<CandidateIndex>{1, 2}));
  failover.unreachable(now_);
  EXPECT_EQ(failover.decide(now_).action, Action::Wait) << "for whichever answers first";
  EXPECT_FALSE(failover.holds_first());
  EXPECT_TRUE(failover.showed(Side::Second, now_)) << "the first is to be blamed";
}

TEST_F(WholeAnswerTest, KeepsTheFirstThatWasSuspectedWronglyHoweverManyFailedBesideIt) {
  Failover failover = running();
  failover.unreachable(now_);
  for (CandidateIndex i = 2; i < 5; ++i) {
    start_beside(failover, i);
    EXPECT_FALSE(failover.holds_first()) << "its answer would be all of it";
    failover.failed(Side::Second, Code::Unavailable, now_);
    EXPECT_EQ(after_waiting(failover), Action::StartBeside);
    EXPECT_EQ(waited_, seconds{1});
  }
  EXPECT_FALSE(failover.showed(Side::First, now_));
}

TEST_F(WholeAnswerTest, LooksForAnotherEverySecondWhileThereIsNoneOrAllAreFull) {
  Failover failover = running();
  failover.unreachable(now_);
  for (CandidateIndex i = 0; i < 2 * options_.attempts_max; ++i) {
    failover.no_candidate(Duration{}, now_);
    EXPECT_EQ(failover.tried(), std::vector<CandidateIndex>{1}) << "who failed may be back";
    ASSERT_EQ(after_waiting(failover), Action::StartBeside);
    EXPECT_EQ(waited_, seconds{1});
    start_beside(failover, 2);
    failover.failed(Side::Second, Code::ResourceExhausted, now_);
  }
}

TEST_F(WholeAnswerTest, WhoTakesOverCanBeReachedUntilItIsSaidThatItCannot) {
  Failover failover = running();
  failover.unreachable(now_);
  start_beside(failover, 2);
  failover.failed(Side::First, Code::Unavailable, now_);
  EXPECT_EQ(after_waiting(failover), Action::DropFirst) << "not overtaken again";
  EXPECT_EQ(waited_, seconds{600});
  now_ -= seconds{600};
  failover.unreachable(now_);
  start_beside(failover, 3);
}

TEST_F(WholeAnswerTest, IsNotBegunAtAnotherOnceItsEngineIsBack) {
  Failover failover = running();
  failover.unreachable(now_);
  failover.no_candidate(Duration{}, now_);
  ASSERT_EQ(after_waiting(failover), Action::StartBeside);
  failover.reachable();
  EXPECT_EQ(after_waiting(failover), Action::DropFirst);
  now_ -= waited_;
  failover.unreachable(now_);
  EXPECT_EQ(failover.decide(now_).action, Action::StartBeside) << "it may be lost again";
}

TEST_F(WholeAnswerTest, IsLeftToItsIngressWhereItWasForwarded) {
  options_.overtake = false;
  Failover failover = running();
  failover.unreachable(now_);
  EXPECT_EQ(after_waiting(failover), Action::DropFirst);
}

}  // namespace
}  // namespace perigee
