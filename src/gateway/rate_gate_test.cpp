#include "gateway/rate_gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <deque>

namespace perigee {
namespace {

// A gate whose control is a RateBook in the same process, asked when the test says so.
class RateGateTest : public testing::Test {
 protected:
  RateGateTest() {
    bounds_->account = "key_1";
    bounds_->scope.requests_per_minute = 3;
    gate_.on_want([this] { ++wants_; });
  }
  ~RateGateTest() override {  // whoever waits still ends before the gate
    gate_.failed(gate_.report());
    run();
  }

  struct Outcome {
    std::optional<Result<RateTicket>> ticket;
    RateState state;
  };
  Task<> admit_into(std::shared_ptr<const CallerBounds> bounds, RateDemand demand,
                    Outcome& outcome) {
    auto ticket = co_await gate_.admit(std::move(bounds), demand, outcome.state);
    outcome.ticket.emplace(std::move(ticket));
  }
  // Starts a request; its outcome stands in `outcomes_` once it has one.
  void ask(std::uint32_t prompt = 0, std::uint32_t output = 0) {
    begin(prompt, output);
    run();
  }
  void begin(std::uint32_t prompt = 0, std::uint32_t output = 0) {
    outcomes_.emplace_back();
    asio::co_spawn(io_, admit_into(bounds_, RateDemand{prompt, output}, outcomes_.back()),
                   [](const std::exception_ptr& thrown) { EXPECT_EQ(thrown, nullptr); });
  }
  void run() {
    io_.restart();
    io_.poll();
  }
  void exchange() {
    const RateReport report = gate_.report();
    auto grants = book_.take(
        SiteId{"a"}, report,
        [this](const RateLimitId& id) {
          return RateBook::Limit{id.unit == RateUnit::Requests ? bounds_->scope.requests_per_minute
                                                               : bounds_->scope.tokens_per_minute,
                                 false};
        },
        clock_.now());
    ASSERT_TRUE(grants);
    gate_.granted(report, *grants);
    run();
  }
  int admitted() const {
    return static_cast<int>(std::ranges::count_if(
        outcomes_, [](const Outcome& each) { return each.ticket && each.ticket->has_value(); }));
  }
  Error refusal(std::size_t place) const { return outcomes_.at(place).ticket->error(); }

  asio::io_context io_;
  ManualClock clock_;
  RateBook book_{{}, clock_.now()};
  RateGate gate_{io_.get_executor(), clock_, 1};
  std::shared_ptr<CallerBounds> bounds_ = std::make_shared<CallerBounds>();
  std::deque<Outcome> outcomes_;
  int wants_ = 0;
};

TEST_F(RateGateTest, RequestsWaitForTheirShareAndNoMoreThanTheLimitPass) {
  for (int i = 0; i < 5; ++i) ask();
  EXPECT_EQ(admitted(), 0);
  EXPECT_EQ(wants_, 5);
  exchange();
  EXPECT_EQ(admitted(), 3);
  EXPECT_EQ(refusal(4).code, Code::ResourceExhausted);
  EXPECT_GT(refusal(4).retry_after_ms, 0);
  EXPECT_NE(refusal(4).message.find("3 requests per minute"), std::string::npos);
  EXPECT_EQ(outcomes_.at(2).state.requests->limit, 3);
  EXPECT_EQ(outcomes_.at(2).state.requests->remaining, 0);
  EXPECT_FALSE(outcomes_.at(2).state.tokens);
}

TEST_F(RateGateTest, WhoseGrantWasTakenByOneWhoCameJustThenAsksAgain) {
  ask();
  ask();
  begin();  // finds what the two were granted
  exchange();
  EXPECT_EQ(admitted(), 2);
  EXPECT_EQ(wants_, 3);
  exchange();
  EXPECT_EQ(admitted(), 3) << "the limit is not reached";
}

TEST_F(RateGateTest, WhatComesBackIsSpentWithoutAskingAnybody) {
  ask();
  ask();
  exchange();
  EXPECT_EQ(admitted(), 2);
  clock_.advance(seconds{61});
  const int wants = wants_;
  ask();
  EXPECT_EQ(admitted(), 3);
  EXPECT_EQ(wants_, wants);
}

TEST_F(RateGateTest, WhereControlHasNothingItIsNotAskedByEveryRequest) {
  for (int i = 0; i < 4; ++i) ask();
  exchange();
  const int wants = wants_;
  for (int i = 0; i < 10; ++i) ask();
  EXPECT_EQ(wants_, wants);
  EXPECT_EQ(admitted(), 3);
  clock_.advance(seconds{1});
  ask();
  EXPECT_EQ(wants_, wants + 1);
}

TEST_F(RateGateTest, WithoutControlOnlyWhatIsHeldIsSpentAndOnlyForItsTerm) {
  ask();
  ask();
  exchange();
  gate_.failed(gate_.report());
  ask();
  EXPECT_EQ(admitted(), 2);
  EXPECT_NE(refusal(2).message.find("can't reach control"), std::string::npos)
      << refusal(2).message;
  clock_.advance(seconds{61});
  ask();
  EXPECT_EQ(admitted(), 3) << "its share goes on";
  clock_.advance(kRateTerm);
  ask();
  EXPECT_EQ(admitted(), 3) << "but not beyond its term";
}

TEST_F(RateGateTest, TokensAreReservedThenSettledByWhatWasUsed) {
  bounds_->scope = KeyScope{};
  bounds_->scope.tokens_per_minute = 1000;
  ask(100, 300);  // 500 reserved: prompts are estimated
  exchange();
  ask(100, 300);
  exchange();
  ask(100, 300);
  exchange();
  EXPECT_EQ(admitted(), 2);
  outcomes_.at(0).ticket->value().settle(120, 30);
  outcomes_.at(1).ticket->value().settle(120, 30);
  clock_.advance(seconds{1});
  ask(100, 300);
  exchange();
  EXPECT_EQ(admitted(), 3) << "what was reserved and not used is there again";
  EXPECT_EQ(outcomes_.at(3).state.tokens->limit, 1000);
}

TEST_F(RateGateTest, ARequestBeyondAWholeMinuteIsToldToBeSmaller) {
  bounds_->scope.tokens_per_minute = 1000;
  ask(600, 600);
  EXPECT_EQ(refusal(0).code, Code::PayloadTooLarge);
  EXPECT_NE(refusal(0).message.find("max_tokens"), std::string::npos);
}

TEST_F(RateGateTest, ATicketThatIsDroppedUsedNoTokens) {
  bounds_->scope = KeyScope{};
  bounds_->scope.tokens_per_minute = 600;
  ask(100, 300);
  exchange();
  EXPECT_EQ(admitted(), 1);
  outcomes_.at(0).ticket.reset();
  ask(100, 300);
  EXPECT_TRUE(outcomes_.at(1).ticket && outcomes_.at(1).ticket->has_value());
}

TEST_F(RateGateTest, AnAccountThatRestsIsForgotten) {
  ask();
  exchange();
  EXPECT_TRUE(gate_.has_claims());
  outcomes_.clear();
  clock_.advance(seconds{62});
  exchange();
  exchange();
  EXPECT_FALSE(gate_.has_claims());
  EXPECT_EQ(book_.held({"key_1", RateUnit::Requests}), 0);
}

// A clock that goes on by a step each time that somebody looks.
class RestlessClock final : public Clock {
 public:
  Instant now() const override { return now_ += step; }
  WallTime wall() const override { return {}; }
  Duration step{};

 private:
  mutable Instant now_{};
};

TEST(RateGateWhileTimePasses, WhatComesBackBetweenTwoLooksIsNoOtherLimitReached) {
  asio::io_context io;
  RestlessClock clock;
  RateBook book{{}, clock.now()};
  RateGate gate{io.get_executor(), clock, 1};
  auto bounds = std::make_shared<CallerBounds>();
  bounds->account = "key_1";
  bounds->scope.requests_per_minute = 1;  // and no limit of tokens
  const auto exchange = [&] {
    const RateReport report = gate.report();
    gate.granted(report,
                 *book.take(
                     SiteId{"a"}, report,
                     [](const RateLimitId&) { return RateBook::Limit{1, false}; }, clock.now()));
  };
  int ended = 0;
  const auto ask = [&]() -> Task<> {
    RateState state;
    auto ticket = co_await gate.admit(bounds, RateDemand{1, 1}, state);
    if (!ticket) EXPECT_NE(ticket.error().message.find("1 requests per minute"), std::string::npos);
    ++ended;
  };
  for (int i = 0; i < 64; ++i) {
    clock.step = seconds{i};
    asio::co_spawn(io, ask(), [](const std::exception_ptr& thrown) { EXPECT_EQ(thrown, nullptr); });
    io.restart();
    io.poll();
    exchange();
    io.restart();
    io.poll();
  }
  EXPECT_EQ(ended, 64);
}

TEST_F(RateGateTest, TheSubjectsOfOneIssuerLeaveRoomForOthers) {
  for (std::size_t i = 0; i <= RateGate::kSubjectsMax; ++i) {
    bounds_ = std::make_shared<CallerBounds>(*bounds_);
    bounds_->account = "iss:acme:user-" + std::to_string(i);
    ask();
  }
  EXPECT_EQ(refusal(RateGate::kSubjectsMax).code, Code::ResourceExhausted);
  bounds_ = std::make_shared<CallerBounds>(*bounds_);
  bounds_->account = "key_2";
  ask();
  exchange();
  EXPECT_TRUE(outcomes_.back().ticket->has_value());
}

}  // namespace
}  // namespace perigee
