// What becomes of answers in one piece when who makes them can't be reached any more: they say
// nothing until they are whole, so their silence tells nothing.
#include "gateway/inference_test.h"

namespace perigee {
namespace {

class WholeAnswers : public InferenceTest {
 protected:
  static Step whole(const std::string& text) { return FakeEngine::Finish{finished(text, 3)}; }
  // The site is suspected: as PeerExchange tells.
  void suspect(const std::string& site) {
    update(site, [](CandidateState& state) { state.healthy = false; });
    inference_->look_for_unreachable();
  }
  void expect_billed_once(const std::string& site) {
    ASSERT_EQ(ledger_.records().size(), 1U);
    EXPECT_EQ(ledger_.records()[0].outcome, Outcome::Completed);
    EXPECT_EQ(ledger_.records()[0].completion_tokens, 3U);
    EXPECT_EQ(ledger_.records()[0].serving_site, SiteId{site});
    EXPECT_EQ(router_.in_flight(candidate("near")).requests, 0U);
    EXPECT_EQ(router_.in_flight(candidate("far")).requests, 0U);
  }
};

TEST_F(WholeAnswers, AreMadeElsewhereWhenTheirSiteCannotBeReached) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  FakeEngine& far = add("far", 90, {whole("far's")});
  once([&] { return !near.jobs.empty(); }, [&] { suspect("near"); });
  const RecordedAnswer& answer = serve(kWhole);
  EXPECT_EQ(answer.text, "far's");
  EXPECT_EQ(answer.head().site, "far");
  EXPECT_EQ(far.jobs.size(), 1U);
  EXPECT_EQ(near.cancelled, 1) << "the loser";
  expect_billed_once("far");
}

TEST_F(WholeAnswers, AWrongSuspicionCostsNothingButWork) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}, whole("near's")});
  FakeEngine& far = add("far", 90, {FakeEngine::Hang{}, whole("far's")});
  once([&] { return !near.jobs.empty(); },
       [&] {
         suspect("near");
         once([&] { return !far.jobs.empty(); }, [&] { near.advance(); });
       });
  EXPECT_EQ(serve(kWhole).text, "near's");
  EXPECT_EQ(answer_.head().site, "near");
  EXPECT_EQ(far.cancelled, 1);
  expect_billed_once("near");
}

TEST_F(WholeAnswers, WhoTookOverMakesRoomForAThirdWhenItCannotBeReachedEither) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  FakeEngine& far = add("far", 40, {FakeEngine::Hang{}});
  add("farther", 90, {whole("farther's")});
  let_time_pass(milliseconds{50});
  once([&] { return !near.jobs.empty(); },
       [&] {
         suspect("near");
         once([&] { return !far.jobs.empty(); }, [&] { suspect("far"); });
       });
  EXPECT_EQ(serve(kWhole).text, "farther's");
  EXPECT_EQ(near.cancelled, 1);
  EXPECT_EQ(far.cancelled, 1);
  expect_billed_once("farther");
}

TEST_F(WholeAnswers, AreMadeElsewhereAsSoonAsSomebodyElseIsThere) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  add("far", 90, {whole("far's")});
  update("far", [](CandidateState& state) { state.healthy = false; });
  let_time_pass(milliseconds{100});
  once([&] { return !near.jobs.empty(); },
       [&] {
         suspect("near");
         const Instant then = clock_.now();
         once([this, then] { return clock_.now() - then > seconds{20}; },
              [this] { update("far", [](CandidateState& state) { state.healthy = true; }); });
       });
  EXPECT_EQ(serve(kWhole).text, "far's");
  expect_billed_once("far");
}

TEST_F(WholeAnswers, WhoIsBackInTimeIsNotBlamed) {
  const auto back = [this] { update("near", [](CandidateState& it) { it.healthy = true; }); };
  const auto fail = [this] {
    AttemptReport{router_, clock_, candidate("near"), {}, false}.failed(
        Error{Code::Unavailable, "died"});
  };
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  FakeEngine& far = add("far", 90, {FakeEngine::Hang{}, whole("far's")});
  once([&] { return !near.jobs.empty(); },
       [&] {
         suspect("near");
         once([&] { return !far.jobs.empty(); },
              [&] {
                back();
                fail();
                fail();  // one more would open its breaker
                far.advance();
              });
       });
  EXPECT_EQ(serve(kWhole).text, "far's");
  EXPECT_EQ(near.cancelled, 1);
  EXPECT_EQ(router_.breaker(candidate("near"), clock_.now()), BreakerState::Closed);
  fail();
  EXPECT_EQ(router_.breaker(candidate("near"), clock_.now()), BreakerState::Open);
}

TEST_F(WholeAnswers, AreNotMadeTwiceOnceTheirSiteIsBack) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}, whole("near's")});
  FakeEngine& far = add("far", 90, {whole("far's")});
  const auto set = [this](const std::string& site, bool healthy) {
    update(site, [=](CandidateState& state) { state.healthy = healthy; });
  };
  set("far", false);
  let_time_pass(milliseconds{100});
  once([&] { return !near.jobs.empty(); },
       [&] {
         suspect("near");
         const Instant then = clock_.now();
         once([this, then] { return clock_.now() - then > milliseconds{100}; },
              [&, then] {
                set("near", true);
                set("far", true);
                once([this, then] { return clock_.now() - then > seconds{5}; },
                     [&] { near.advance(); });
              });
       });
  EXPECT_EQ(serve(kWhole).text, "near's");
  EXPECT_EQ(near.jobs.size(), 1U);
  EXPECT_TRUE(far.jobs.empty());
  expect_billed_once("near");
}

TEST_F(WholeAnswers, AreNotMadeTwiceBecauseTheirSiteIsNoNeighbourAnyMore) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}, whole("near's")});
  FakeEngine& far = add("far", 90, {whole("far's")});
  let_time_pass(milliseconds{100});
  once([&] { return !near.jobs.empty(); },
       [&] {
         router_.remove(router_.candidate(candidate("near"))->id);
         inference_->look_for_unreachable();  // somebody else is suspected
         const Instant then = clock_.now();
         once([this, then] { return clock_.now() - then > seconds{5}; }, [&] { near.advance(); });
       });
  EXPECT_EQ(serve(kWhole).text, "near's");
  EXPECT_TRUE(far.jobs.empty());
}

TEST_F(WholeAnswers, HowLongOneWasAwaitedInVainTellsNothingOfTheFirstToken) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  RouteRequest request;
  request.model = ModelId{"m"};
  request.prompt_tokens = 100;
  const auto predicted = [&] {
    return router_.plan(request, clock_.now())->attempts.front().prediction.ttft_ms;
  };
  const double before = predicted();
  for (std::size_t i = 1; i <= 3; ++i) {
    once([&near, i] { return near.jobs.size() == i; },
         [this] {
           clock_.advance(seconds{9});
           answer_.leave();
         });
    serve(kWhole);
  }
  EXPECT_EQ(near.cancelled, 3);
  EXPECT_LT(predicted(), before + 10);
}

TEST_F(WholeAnswers, AreLeftToTheirIngressWhereTheyWereForwarded) {
  caller_.role = Role::Site;
  local_ = true;
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}, whole("near's")});
  FakeEngine& far = add("far", 3, {whole("far's")});
  let_time_pass(milliseconds{100});
  once([&] { return !near.jobs.empty(); },
       [&] {
         suspect("near");
         const Instant then = clock_.now();
         once([this, then] { return clock_.now() - then > seconds{5}; }, [&] { near.advance(); });
       });
  EXPECT_EQ(serve(kWhole).text, "near's");
  EXPECT_TRUE(far.jobs.empty());
}

}  // namespace
}  // namespace perigee
