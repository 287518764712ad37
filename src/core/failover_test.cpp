#include "core/failover.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using Action = Failover::Action;
using Side = Failover::Side;

class FailoverTest : public testing::Test {
 protected:
  static constexpr AttemptForecast kForecast{.ttft_ms = 100, .uncertainty_ms = 10, .tpot_ms = 20};

  Failover make(ServiceClass service_class, std::optional<Duration> left = std::nullopt) {
    Failover::Request request;
    request.service_class = service_class;
    if (left) request.deadline = now_ + *left;
    return Failover{options_, request, now_};
  }
  // Lets the time pass that it asks for, and gives what it then wants.
  Action after_waiting(const Failover& failover) {
    const Failover::Decision wait = failover.decide(now_);
    EXPECT_EQ(wait.action, Action::Wait);
    waited_ = wait.until - now_;
    now_ = wait.until;
    return failover.decide(now_).action;
  }
  void start(Failover& failover, CandidateIndex candidate,
             std::optional<Duration> hedge = std::nullopt) {
    ASSERT_EQ(failover.decide(now_).action, Action::Start);
    failover.started(Side::First, candidate, kForecast, hedge, now_);
  }

  FailoverOptions options_;
  Instant now_{seconds{1000}};
  Duration waited_{};
};

TEST_F(FailoverTest, TriesOthersWhileNothingWasShownAndThenGivesUp) {
  Failover failover = make(ServiceClass::Standard);
  std::vector<CandidateIndex> all;
  for (CandidateIndex i = 1; i <= options_.fruitless_max; ++i) {
    start(failover, i);
    failover.failed(Side::First, Code::Unavailable, now_);
    all.push_back(i);
  }
  EXPECT_EQ(failover.tried(), all);
  EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
}

TEST_F(FailoverTest, GivesUpAtOnceWhenTheRequestIsAtFault) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.failed(Side::First, Code::InvalidArgument, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
}

TEST_F(FailoverTest, WaitsAMomentForAnEngineToComeBackBeforeTheFirstToken) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.failed(Side::First, Code::Unavailable, now_);
  const Instant failed_at = now_;
  while (failover.decide(now_).action == Action::Start) {
    failover.no_candidate(Duration{}, now_);
    after_waiting(failover);
  }
  EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
  EXPECT_EQ(now_ - failed_at, seconds{10}) << "twice the class's time to the first token";
}

TEST_F(FailoverTest, WaitsLessForAnEngineThatAnswersWronglyAndForRealtime) {
  for (const bool wrong : {true, false}) {
    Failover failover = make(wrong ? ServiceClass::Standard : ServiceClass::Realtime);
    start(failover, 1);
    failover.failed(Side::First, wrong ? Code::Protocol : Code::Unavailable, now_);
    const Instant failed_at = now_;
    while (failover.decide(now_).action == Action::Start) {
      failover.no_candidate(Duration{}, now_);
      after_waiting(failover);
    }
    EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
    EXPECT_EQ(now_ - failed_at, options_.begin_within);
  }
}

TEST_F(FailoverTest, DoesNotKeepAClientWaitingForNothing) {
  Failover refused = make(ServiceClass::Standard);
  start(refused, 1);
  refused.failed(Side::First, Code::ResourceExhausted, now_);
  refused.no_candidate(Duration{}, now_);
  EXPECT_EQ(refused.decide(now_).action, Action::GiveUp) << "full: that takes longer";
  Failover open = make(ServiceClass::Standard);
  open.no_candidate(seconds{5}, now_);
  EXPECT_EQ(open.decide(now_).action, Action::GiveUp) << "it is known to be away for longer";
}

TEST_F(FailoverTest, WhatADrainSendsAwayIsNotRefusedWhereItWouldHaveRun) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  now_ += seconds{20};  // in a queue
  failover.displaced(now_);
  failover.failed(Side::First, Code::ResourceExhausted, now_);
  const Instant sent_away = now_;
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(failover.decide(now_).action, Action::Start);
    failover.started(Side::First, 2, kForecast, std::nullopt, now_);
    failover.failed(Side::First, Code::ResourceExhausted, now_);
    failover.no_candidate(Duration{}, now_);
    ASSERT_EQ(after_waiting(failover), Action::Start);
  }
  while (failover.decide(now_).action == Action::Start) {
    failover.no_candidate(Duration{}, now_);
    after_waiting(failover);
  }
  EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
  EXPECT_EQ(now_ - sent_away, options_.resume_within);
}

TEST_F(FailoverTest, ResumesAndWaitsForAnEngineToComeBack) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  EXPECT_FALSE(failover.showed(Side::First, now_));
  failover.failed(Side::First, Code::Unavailable, now_);
  const Instant failed_at = now_;
  int plans = 0;
  while (failover.decide(now_).action == Action::Start) {
    ++plans;
    failover.no_candidate(Duration{}, now_);
    EXPECT_TRUE(failover.tried().empty()) << "whoever failed may be back";
    if (after_waiting(failover) == Action::GiveUp) break;
    EXPECT_GE(waited_, milliseconds{100});
    EXPECT_LE(waited_, seconds{1});
  }
  EXPECT_GT(plans, 20);
  EXPECT_EQ(now_ - failed_at, options_.resume_within);
}

TEST_F(FailoverTest, BoundsAttemptsThatShowNothingAndAllTogether) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  failover.failed(Side::First, Code::Unavailable, now_);
  std::uint32_t fruitless = 0;
  for (; failover.decide(now_).action == Action::Start; ++fruitless) {
    start(failover, 2);
    failover.failed(Side::First, Code::Unavailable, now_);
  }
  EXPECT_EQ(fruitless, options_.fruitless_max);

  Failover fruitful = make(ServiceClass::Standard);
  while (fruitful.decide(now_).action == Action::Start) {
    start(fruitful, 1);
    fruitful.showed(Side::First, now_);
    fruitful.failed(Side::First, Code::Unavailable, now_);
  }
  EXPECT_EQ(fruitful.attempts(), options_.attempts_max);
}

TEST_F(FailoverTest, WaitsForRoomWhenEverybodyIsFull) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  failover.failed(Side::First, Code::Unavailable, now_);
  const Instant failed_at = now_;
  int refusals = 0;
  while (failover.decide(now_).action == Action::Start) {
    for (CandidateIndex full = 2; full < 6; ++full, ++refusals) {
      start(failover, full);
      failover.failed(Side::First, Code::ResourceExhausted, now_);
    }
    failover.no_candidate(Duration{}, now_);
    after_waiting(failover);
  }
  EXPECT_GT(refusals, 100);
  EXPECT_EQ(now_ - failed_at, options_.resume_within);
}

TEST_F(FailoverTest, TriesOnceMoreWhenAResumeIsRefusedAsWrong) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  int tries = 0;
  for (; failover.decide(now_).action != Action::GiveUp; ++tries) {
    if (tries > 0) start(failover, 2);
    failover.failed(Side::First, Code::InvalidArgument, now_);
  }
  EXPECT_EQ(tries, 2);
}

TEST_F(FailoverTest, EndsWhatCanNotBeResumed) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  failover.lost_track();
  EXPECT_NE(after_waiting(failover), Action::StartBeside) << "a second could not go on either";
  failover.failed(Side::First, Code::Unavailable, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
}

TEST_F(FailoverTest, HedgesOnceAndBlamesNobody) {
  Failover failover = make(ServiceClass::Realtime);
  start(failover, 1, milliseconds{150});
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, milliseconds{150});
  EXPECT_TRUE(failover.hedges());
  EXPECT_EQ(failover.tried(), std::vector<CandidateIndex>{1});
  failover.started(Side::Second, 2, kForecast, std::nullopt, now_);
  EXPECT_FALSE(failover.holds_first());
  EXPECT_FALSE(failover.showed(Side::Second, now_)) << "a hedge that wins blames nobody";
  EXPECT_EQ(failover.decide(now_).action, Action::Wait);
}

TEST_F(FailoverTest, OvertakesAFirstTokenFarBeyondItsPrediction) {
  Failover failover = make(ServiceClass::Interactive);
  start(failover, 1);
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, seconds{4});
  failover.started(Side::Second, 2, kForecast, std::nullopt, now_);
  EXPECT_TRUE(failover.showed(Side::Second, now_)) << "the first is to be blamed";
}

TEST_F(FailoverTest, WaitsLongerForWhatIsPredictedToTakeLong) {
  Failover failover = make(ServiceClass::Interactive);
  ASSERT_EQ(failover.decide(now_).action, Action::Start);
  failover.started(Side::First, 1, {.ttft_ms = 5'000, .uncertainty_ms = 0, .tpot_ms = 500},
                   std::nullopt, now_);
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, seconds{20});
  failover.no_candidate(Duration{}, now_);
  failover.showed(Side::First, now_);
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, seconds{10});
}

TEST_F(FailoverTest, OvertakesAStreamThatStandsStillButGivesItEveryChance) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(after_waiting(failover), Action::StartBeside);
    EXPECT_EQ(waited_, seconds{4});
    failover.started(Side::Second, 2, kForecast, std::nullopt, now_);
    if (round == 0) {
      EXPECT_FALSE(failover.holds_first());
      EXPECT_FALSE(failover.showed(Side::First, now_)) << "it came back by itself";
    }
  }
  EXPECT_TRUE(failover.holds_first()) << "it came back before: the second has the way";
  EXPECT_TRUE(failover.showed(Side::Second, now_));
  EXPECT_FALSE(failover.holds_first());
}

TEST_F(FailoverTest, GoesOnWithTheFirstWhenTheSecondFails) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  ASSERT_EQ(after_waiting(failover), Action::StartBeside);
  failover.started(Side::Second, 2, kForecast, std::nullopt, now_);
  failover.failed(Side::Second, Code::Unavailable, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::Wait) << "not at once another";
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(failover.tried(), (std::vector<CandidateIndex>{2, 1}));
}

TEST_F(FailoverTest, TheSecondTakesOverWhenTheFirstFails) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  ASSERT_EQ(after_waiting(failover), Action::StartBeside);
  failover.started(Side::Second, 2, kForecast, std::nullopt, now_);
  failover.failed(Side::First, Code::Unavailable, now_);
  EXPECT_FALSE(failover.holds_first());
  EXPECT_FALSE(failover.showed(Side::First, now_));
}

TEST_F(FailoverTest, AsksAtOnceWhenTheFirstFailsThatNobodyCouldOvertake) {
  Failover failover = make(ServiceClass::Batch);
  start(failover, 1);
  failover.showed(Side::First, now_);
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  failover.no_candidate(Duration{}, now_);
  now_ += seconds{1};
  failover.failed(Side::First, Code::Unavailable, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::Start);
}

TEST_F(FailoverTest, DropsAnEngineThatIsSilentForAllItsTime) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  const Instant shown = now_;
  while (after_waiting(failover) == Action::StartBeside) failover.no_candidate(Duration{}, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::DropFirst);
  EXPECT_EQ(now_ - shown, options_.first_token_max);
}

TEST_F(FailoverTest, GivesUpAtTheDeadline) {
  Failover failover = make(ServiceClass::Standard, milliseconds{300});
  start(failover, 1);
  EXPECT_EQ(after_waiting(failover), Action::GiveUp);
  EXPECT_EQ(waited_, milliseconds{300});
  Failover begun = make(ServiceClass::Standard, milliseconds{300});
  start(begun, 1);
  begun.showed(Side::First, now_);
  begun.failed(Side::First, Code::Unavailable, now_);
  begun.no_candidate(Duration{}, now_);
  while (after_waiting(begun) == Action::Start) begun.no_candidate(Duration{}, now_);
  EXPECT_EQ(begun.decide(now_).action, Action::GiveUp);
}

TEST_F(FailoverTest, AnAnswerInOnePieceIsNeitherHedgedNorOvertaken) {
  Failover failover{
      options_,
      {.service_class = ServiceClass::Realtime, .deadline = std::nullopt, .streams = false},
      now_};
  start(failover, 1, milliseconds{150});
  EXPECT_EQ(after_waiting(failover), Action::DropFirst);
  EXPECT_EQ(waited_, options_.first_token_max);
}

TEST_F(FailoverTest, AForwardedRequestDoesNotWaitForAnEngine) {
  options_.resume_within = Duration{};
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  failover.failed(Side::First, Code::Unavailable, now_);
  ASSERT_EQ(failover.decide(now_).action, Action::Start) << "another engine of this site";
  failover.no_candidate(Duration{}, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::GiveUp);
}

class TiedTest : public FailoverTest {
 protected:
  // A stream whose engine has died, and that goes on at 2.
  Failover resumed(const AttemptForecast& forecast) {
    Failover failover = make(ServiceClass::Standard);
    start(failover, 1);
    failover.showed(Side::First, now_);
    failover.failed(Side::First, Code::Unavailable, now_);
    EXPECT_EQ(failover.decide(now_).action, Action::Start);
    failover.started(Side::First, 2, forecast, std::nullopt, now_);
    return failover;
  }
};

TEST_F(TiedTest, AStreamThatHasBegunStandsInTwoQueuesAndBlamesNobody) {
  Failover failover =
      resumed({.ttft_ms = 3'100, .uncertainty_ms = 10, .tpot_ms = 20, .queue_ms = 3'000});
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, milliseconds{250}) << "a queue is no reason to wait in it alone";
  EXPECT_EQ(failover.tried(), (std::vector<CandidateIndex>{1, 2}));
  failover.started(Side::Second, 3, kForecast, std::nullopt, now_);
  EXPECT_FALSE(failover.holds_first());
  EXPECT_EQ(failover.decide(now_).until - now_, options_.first_token_max - milliseconds{250})
      << "the second may stand in a queue as long as the first";
  EXPECT_FALSE(failover.showed(Side::Second, now_)) << "it only stood in a queue";
  EXPECT_EQ(after_waiting(failover), Action::StartBeside) << "that stands still";
  EXPECT_EQ(waited_, seconds{4});
}

TEST_F(TiedTest, WaitsAsLongAsThePromptIsExpectedToTake) {
  Failover failover =
      resumed({.ttft_ms = 900, .uncertainty_ms = 50, .tpot_ms = 20, .queue_ms = 400});
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, milliseconds{1'100});
}

TEST_F(TiedTest, ARefusalByTheSecondCountsForNothing) {
  Failover failover = resumed(kForecast);
  const std::uint32_t attempts = failover.attempts();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(after_waiting(failover), Action::StartBeside);
    failover.started(Side::Second, 3, kForecast, std::nullopt, now_);
    failover.failed(Side::Second, Code::ResourceExhausted, now_);
  }
  EXPECT_EQ(failover.attempts(), attempts);
}

TEST_F(FailoverTest, WhatIsSentAwayAfterItsLastTokenWasShownGoesOn) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.showed(Side::First, now_);
  failover.displaced(now_);
  failover.failed(Side::First, Code::ResourceExhausted, now_);
  EXPECT_EQ(failover.decide(now_).action, Action::Start);
  EXPECT_EQ(failover.attempts(), 1U);
}

TEST_F(TiedTest, KeepsHalfOfItsAttemptsForEnginesThatReallyFail) {
  Failover failover = resumed(kForecast);
  failover.failed(Side::First, Code::Unavailable, now_);
  std::uint32_t alone = 0;
  while (failover.decide(now_).action == Action::Start) {
    failover.started(Side::First, 2, kForecast, std::nullopt, now_);
    const Failover::Decision next = failover.decide(now_);
    if (next.until - now_ > seconds{2}) ++alone;
    failover.failed(Side::First, Code::Unavailable, now_);
  }
  EXPECT_EQ(alone, options_.fruitless_max / 2);
}

TEST_F(TiedTest, AForwardedStreamStandsInOneQueue) {
  options_.hedge = false;
  options_.overtake = false;
  Failover failover = resumed(kForecast);
  EXPECT_EQ(after_waiting(failover), Action::DropFirst);
}

TEST_F(FailoverTest, AsksAtOnceWhenSomebodyIsBackAndNotWhereItWaitsForRoom) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  EXPECT_FALSE(failover.look_again(now_)) << "it has somebody";
  failover.showed(Side::First, now_);
  failover.failed(Side::First, Code::Unavailable, now_);
  for (int i = 0; i < 5; ++i) {
    failover.no_candidate(Duration{}, now_);
    ASSERT_EQ(after_waiting(failover), Action::Start);
  }
  failover.no_candidate(Duration{}, now_);
  EXPECT_EQ(failover.decide(now_).until - now_, seconds{1});
  EXPECT_TRUE(failover.look_again(now_));
  EXPECT_EQ(failover.decide(now_).action, Action::Start);
  failover.started(Side::First, 2, kForecast, std::nullopt, now_);
  failover.failed(Side::First, Code::ResourceExhausted, now_);
  failover.no_candidate(Duration{}, now_);
  EXPECT_FALSE(failover.look_again(now_)) << "everybody is full";
}

TEST_F(FailoverTest, AStreamGoesByItsSilenceWhateverIsSaidOfItsEngine) {
  Failover failover = make(ServiceClass::Standard);
  start(failover, 1);
  failover.unreachable(now_);
  EXPECT_EQ(after_waiting(failover), Action::StartBeside);
  EXPECT_EQ(waited_, seconds{20});
}

}  // namespace
}  // namespace perigee
