// What a client sees when engines fail, are late or stand still.
#include "api/resume_field.h"
#include "gateway/inference_test.h"

namespace perigee {
namespace {

using FailoverOfStreams = InferenceTest;

// Of lines for a peer; `text` must have a sum in each.
std::string without_sums(std::string text) {
  constexpr std::string_view kName = " sum=";
  const auto count = [&](std::string_view what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count(kName), count("data: "));
  for (auto at = text.find(kName); at != text.npos; at = text.find(kName)) {
    text.erase(at, kName.size() + 8);
  }
  return text;
}

TEST_F(FailoverOfStreams, GoesOnElsewhereWhenTheServingEngineDies) {
  FakeEngine& near = add("near", 1, {say("a", "1"), say("b", "2"), FakeEngine::Hang{}, kDies});
  FakeEngine& far = add("far", 90, {say("c", "3"), FakeEngine::Finish{finished("", 3)}});
  answer_.after_write = [&] { near.advance(); };
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_EQ(answer.text, framed("a") + framed("b") + framed("c") + framed("[DONE]"));
  EXPECT_TRUE(answer.finished);
  EXPECT_FALSE(answer.failure);
  ASSERT_EQ(far.jobs.size(), 1U);
  ASSERT_NE(far.jobs[0].delivered, nullptr);
  EXPECT_EQ(api::resume_json(*far.jobs[0].delivered), R"([{"ids":"1,2"}])");
  EXPECT_EQ(far.jobs[0].context.seed, near.jobs[0].context.seed);
  EXPECT_EQ(far.jobs[0].context.created, near.jobs[0].context.created);
  EXPECT_EQ(far.jobs[0].context.request_id, near.jobs[0].context.request_id);
  EXPECT_EQ(observer_.resumed, 1);
  ASSERT_EQ(ledger_.records().size(), 1U) << "one request";
  EXPECT_EQ(ledger_.records()[0].outcome, Outcome::Completed);
  EXPECT_EQ(ledger_.records()[0].completion_tokens, 3U);
  EXPECT_EQ(ledger_.records()[0].serving_site, SiteId{"far"});
}

TEST_F(FailoverOfStreams, SurvivesASecondDeath) {
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}, kDies});
  FakeEngine& middle = add("middle", 40, {say("b", "2"), FakeEngine::Hang{}, kDies});
  FakeEngine& far = add("far", 90, {say("c", "3"), FakeEngine::Finish{finished("", 3)}});
  answer_.after_write = [&] {
    near.advance();
    middle.advance();
  };
  EXPECT_EQ(serve(kStream).text, framed("a") + framed("b") + framed("c") + framed("[DONE]"));
  EXPECT_EQ(api::resume_json(*far.jobs.at(0).delivered), R"([{"ids":"1,2"}])");
  EXPECT_EQ(ledger_.records().size(), 1U);
}

TEST_F(FailoverOfStreams, ResumesEveryChoiceWhereItWas) {
  FakeEngine& near = add("near", 1,
                         {say("a", "1", 0), say("b", "2,3", 1), say("B", "", 1, true),
                          say("c", "4", 0), FakeEngine::Hang{}, kDies});
  FakeEngine& far = add("far", 90, {say("d", "5", 0, true), FakeEngine::Finish{finished("", 5)}});
  answer_.after_write = [&] { near.advance(); };
  EXPECT_TRUE(serve(kStream).finished);
  EXPECT_EQ(api::resume_json(*far.jobs.at(0).delivered),
            R"([{"ids":"1,4"},{"tokens":2,"end":true}])");
}

TEST_F(FailoverOfStreams, NeverTearsApartWhatBelongsTogether) {
  FakeEngine& near = add("near", 1,
                         {say("a", "1"), FakeEngine::Hang{},
                          FakeEngine::Say{"last text", 1, "2", 0, false, true}, kDies});
  FakeEngine& far =
      add("far", 90,
          {FakeEngine::Say{"last text", 1, "2", 0, false, true},
           FakeEngine::Say{"finish", 0, "", 0, true, false}, FakeEngine::Finish{finished("", 2)}});
  answer_.after_write = [&] { near.advance(); };
  EXPECT_EQ(serve(kStream).text,
            framed("a") + framed("last text") + framed("finish") + framed("[DONE]"));
  EXPECT_EQ(api::resume_json(*far.jobs.at(0).delivered), R"([{"ids":"1"}])");
}

TEST_F(FailoverOfStreams, WaitsForTheOnlyEngineToComeBack) {
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}, kDies});
  const auto back = std::make_shared<FakeEngine>(
      std::vector<Step>{say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  answer_.after_write = [&] { near.advance(); };
  let_time_pass(milliseconds{100});
  once([&] { return near.jobs.size() == 1 && !answer_.text.empty(); },
       [&] { engines_.set(candidate("near"), back); });
  EXPECT_EQ(serve(kStream).text, framed("a") + framed("b") + framed("[DONE]"));
}

TEST_F(FailoverOfStreams, ResumesUnderTheSameLaw) {
  bind_tenant("de");
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}, kDies});
  FakeEngine& abroad = add("abroad", 2, {say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  update("abroad", [](CandidateState& state) { state.jurisdiction = JurisdictionId{"fr"}; });
  answer_.after_write = [&] { near.advance(); };
  time_left_ = seconds{2};
  let_time_pass(milliseconds{200});
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_TRUE(abroad.jobs.empty());
  ASSERT_TRUE(answer.failure) << "an event says so, the stream does not just end";
  EXPECT_FALSE(answer.finished);
}

TEST_F(FailoverOfStreams, AClientThatLeavesDuringASwitchFreesTheNewEngine) {
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}, kDies});
  FakeEngine& far = add("far", 90, {FakeEngine::Hang{}});
  answer_.after_write = [&] { near.advance(); };
  once([&] { return !far.jobs.empty(); }, [&] { answer_.leave(); });
  serve(kStream);
  EXPECT_EQ(far.cancelled, 1);
  EXPECT_EQ(ledger_.records().at(0).outcome, Outcome::Abandoned);
  EXPECT_EQ(ledger_.records().at(0).completion_tokens, 1U) << "what was delivered";
}

TEST_F(FailoverOfStreams, ADeadlineEndsASwitch) {
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}, kDies});
  answer_.after_write = [&] {
    near.advance();
    update("near", [](CandidateState& state) { state.healthy = false; });
  };
  time_left_ = seconds{3};
  let_time_pass(milliseconds{100});
  const RecordedAnswer& answer = serve(kStream);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::DeadlineExceeded);
  EXPECT_EQ(ledger_.records().at(0).completion_tokens, 1U);
}

TEST_F(FailoverOfStreams, AStreamThatStandsStillGoesOnElsewhereAndTheBreakerLearns) {
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}});
  add("far", 90, {say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  let_time_pass(seconds{1});
  EXPECT_EQ(breaker_after_four(), BreakerState::Open);
  EXPECT_TRUE(answer_.text.starts_with(framed("a") + framed("b") + framed("[DONE]")));
  EXPECT_EQ(near.cancelled, 3);
  EXPECT_FALSE(answer_.failure);
}

TEST_F(FailoverOfStreams, AnEngineIsNotBlamedForTheQueueBeforeIt) {
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  near.waits = true;
  add("far", 90, {say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  let_time_pass(seconds{1});
  EXPECT_EQ(breaker_after_four(), BreakerState::Closed);
  EXPECT_GE(near.cancelled, 3) << "whoever yields first is kept all the same";
}

TEST_F(FailoverOfStreams, WhatIsQueuedForTooLongIsRefusedAndBlamesNobody) {
  caller_.role = Role::Site;
  local_ = true;
  add("near", 0, {FakeEngine::Hang{}}).waits = true;
  let_time_pass(seconds{5});
  EXPECT_EQ(breaker_after_four(), BreakerState::Closed);
  ASSERT_TRUE(answer_.failure);
  EXPECT_EQ(answer_.failure->code, Code::ResourceExhausted);
  EXPECT_EQ(answer_.head().refused, Refused::TooLate);
}

TEST_F(FailoverOfStreams, ASlowEngineKeepsItsStreamWhenThereIsNoOther) {
  FakeEngine& near =
      add("near", 1,
          {say("a", "1"), FakeEngine::Hang{}, say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  const Instant began = clock_.now();
  let_time_pass(seconds{1});
  once([&] { return clock_.now() - began > seconds{20}; }, [&] { near.advance(); });
  const std::string& text = serve(kStream).text;
  EXPECT_TRUE(text.starts_with(framed("a"))) << text;
  EXPECT_TRUE(text.ends_with(framed("b") + framed("[DONE]"))) << text;
  EXPECT_EQ(near.jobs.size(), 1U);
}

TEST_F(FailoverOfStreams, AHedgeThatIsFirstWinsAndTheLateOneIsCancelled) {
  service_class_ = ServiceClass::Realtime;
  FakeEngine& near = add("near", 1, {FakeEngine::Hang{}});
  add("far", 5, {say("b", "2"), FakeEngine::Finish{finished("", 1)}});
  let_time_pass(milliseconds{20});
  EXPECT_EQ(serve(kStream).text, framed("b") + framed("[DONE]"));
  EXPECT_EQ(near.cancelled, 1);
  EXPECT_EQ(observer_.hedges_won, 1);
  EXPECT_EQ(observer_.retries, 0);
  EXPECT_EQ(ledger_.records().size(), 1U) << "billed once";
  EXPECT_EQ(router_.in_flight(candidate("near")).requests, 0U);
}

TEST_F(FailoverOfStreams, AHedgeThatIsNotFirstIsCancelled) {
  service_class_ = ServiceClass::Realtime;
  FakeEngine& near =
      add("near", 1, {FakeEngine::Hang{}, say("a", "1"), FakeEngine::Finish{finished("", 1)}});
  FakeEngine& far = add("far", 5, {FakeEngine::Hang{}, say("b", "2")});
  let_time_pass(milliseconds{20});
  once([&] { return !far.jobs.empty(); }, [&] { near.advance(); });
  EXPECT_EQ(serve(kStream).text, framed("a") + framed("[DONE]"));
  EXPECT_EQ(far.cancelled, 1);
  EXPECT_EQ(observer_.hedges_lost, 1);
  EXPECT_EQ(answer_.head().site, "near");
}

TEST_F(FailoverOfStreams, WhatRunsHereGoesOnElsewhereWhenTheSiteIsDrained) {
  local_ = true;
  FakeEngine& here = add("here", 0, {say("a", "1"), FakeEngine::Hang{}});
  local_ = false;
  FakeEngine& far = add("far", 90, {say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  answer_.after_write = [&] {
    if (!far.jobs.empty()) return;
    update("here", [](CandidateState& state) { state.drained = true; });
    inference_->leave_local_engines();
  };
  EXPECT_EQ(serve(kStream).text, framed("a") + framed("b") + framed("[DONE]"));
  EXPECT_EQ(here.cancelled, 1);
}

TEST_F(FailoverOfStreams, ADrainedSiteSendsItsPeersStreamsElsewhere) {
  caller_.role = Role::Site;
  local_ = true;
  add("here", 0, {say("a", "1"), FakeEngine::Hang{}});
  answer_.after_write = [&] { inference_->leave_local_engines(); };
  const RecordedAnswer& answer = serve(kStream);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::ResourceExhausted) << "not held against it";
  EXPECT_TRUE(ledger_.records().empty()) << "the ingress meters";
}

TEST_F(FailoverOfStreams, WhatADrainSendsAwayWaitsForRoomElsewhere) {
  FakeEngine::Fail full{Error{Code::ResourceExhausted, "full"}};
  local_ = true;
  FakeEngine& here = add("here", 0, {FakeEngine::Hang{}});
  here.waits = true;
  local_ = false;
  add("far", 90, {full});
  const auto with_room = std::make_shared<FakeEngine>(
      std::vector<Step>{say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  let_time_pass(milliseconds{50});
  once([&] { return !here.jobs.empty(); },
       [&] {
         update("here", [](CandidateState& state) { state.drained = true; });
         inference_->leave_local_engines();
         const Instant left = clock_.now();
         once([this, left] { return clock_.now() - left > seconds{3}; },
              [&] { engines_.set(candidate("far"), with_room); });
       });
  EXPECT_EQ(serve(kStream).text, framed("b") + framed("[DONE]"));
  EXPECT_FALSE(answer_.failure);
}

TEST_F(FailoverOfStreams, WhatRunsAtASiteThatIsRemovedGoesOnElsewhere) {
  join("near");
  join("far");
  const Step late = say("too late", "9");
  FakeEngine& near = add("near", 1, {say("a", "1"), FakeEngine::Hang{}, late, FakeEngine::Hang{}});
  add("far", 90, {say("b", "2"), FakeEngine::Finish{finished("", 2)}});
  answer_.after_write = [&] {
    if (near.cancelled > 0) return;
    near.advance();  // it is not removed yet, but what it says now comes too late
    directory_->sites.erase(SiteId{"near"});
    inference_->follow(*directory_);
  };
  EXPECT_EQ(serve(kStream).text, framed("a") + framed("b") + framed("[DONE]"));
  EXPECT_EQ(near.cancelled, 1);
  ASSERT_EQ(ledger_.records().size(), 1U);
  EXPECT_EQ(ledger_.records()[0].completion_tokens, 2U);
  EXPECT_EQ(ledger_.records()[0].serving_site, SiteId{"far"});
}

TEST_F(FailoverOfStreams, WhatRunsAtASiteThatIsRemovedEndsWithAnErrorWhereNobodyCanGoOn) {
  join("near");
  FakeEngine& near = add("near", 1, {FakeEngine::Say{"a", 1}, FakeEngine::Hang{}});
  answer_.after_write = [&] {
    router_.remove({SiteId{"near"}, EngineId{}, ModelId{"m"}});  // no neighbour already
    directory_->sites.erase(SiteId{"near"});
    inference_->follow(*directory_);
  };
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_EQ(near.cancelled, 1);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::Unavailable);
  EXPECT_FALSE(answer.finished);
}

TEST_F(FailoverOfStreams, WhatRunsElsewhereOrHereIsNotTouchedWhenASiteIsRemoved) {
  join("far");
  for (const char* site : {"far", "here"}) {
    local_ = site == std::string_view{"here"};
    FakeEngine& engine = add(
        site, local_ ? 0 : 90,
        {say("a", "1"), FakeEngine::Hang{}, say("b", "2"), FakeEngine::Finish{finished("", 2)}});
    answer_ = RecordedAnswer{};
    answer_.after_write = [&] {
      inference_->follow(*directory_);
      engine.advance();
    };
    EXPECT_EQ(serve(kStream).text, framed("a") + framed("b") + framed("[DONE]")) << site;
    EXPECT_EQ(engine.jobs.size(), 1U) << site;
    EXPECT_EQ(engine.cancelled, 0) << site;
  }
}

TEST_F(FailoverOfStreams, AForwardedStreamKeepsWhatAResumerNeeds) {
  caller_.role = Role::Site;
  local_ = true;
  FakeEngine& here = add("here", 0,
                         {FakeEngine::Say{"role", 0, "", 0, false, true}, say("c", "3", 1),
                          say("d", "", 1, true), FakeEngine::Finish{finished("", 3)}});
  const RecordedAnswer& answer =
      serve(R"({"perigee_resume":[{"ids":"1,2"}],"model":"m","stream":true,)"
            R"("messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(without_sums(answer.text),
            "perigee: more=1\ndata: role\n\nperigee: choice=1 ids=3\ndata: c\n\n"
            "perigee: choice=1 end=1\ndata: d\n\n"
            "perigee: usage=prompt=5,cached=0,completion=3\ndata: [DONE]\n\n");
  EXPECT_EQ(answer.first_head.resumed, 2U);
  ASSERT_NE(here.jobs.at(0).delivered, nullptr);
  EXPECT_EQ(api::resume_json(*here.jobs.at(0).delivered), R"([{"ids":"1,2"}])");
  EXPECT_GT(here.jobs.at(0).resume_span.size, 0U);
}

TEST_F(FailoverOfStreams, AServingSiteAddsWhatItsDeadEngineMadeToWhatItWasTold) {
  caller_.role = Role::Site;
  local_ = true;
  FakeEngine& one = add("here", 0, {say("c", "3"), FakeEngine::Hang{}, kDies});
  FakeEngine& two = add("also-here", 3, {say("d", "4"), FakeEngine::Finish{finished("", 4)}});
  answer_.after_write = [&] { one.advance(); };
  EXPECT_TRUE(serve(R"({"perigee_resume":[{"ids":"1,2"}],"model":"m","stream":true,)"
                    R"("messages":[{"role":"user","content":"hi"}]})")
                  .finished);
  EXPECT_EQ(api::resume_json(*two.jobs.at(0).delivered), R"([{"ids":"1,2,3"}])");
}

TEST_F(FailoverOfStreams, NoClientMaySayWhatWasDelivered) {
  FakeEngine& near = add("near", 1, {FakeEngine::Finish{finished("", 1)}});
  const RecordedAnswer& answer =
      serve(R"({"perigee\u005fresume":[{"ids":"1"}],"model":"m","stream":true,)"
            R"("messages":[{"role":"user","content":"hi"}]})");
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::InvalidArgument);
  EXPECT_EQ(answer.failure->param, "perigee_resume");
  EXPECT_TRUE(near.jobs.empty());
}

// What an engine says that tells no tokens, and whose streams may go on by their text.
Step tell(const std::string& json, const std::string& text, bool ends = false) {
  return FakeEngine::Say{json, text.empty() ? 0U : 1U, "", 0, ends, false, text};
}
const Step kCannot = FakeEngine::Fail{Error{Code::FailedPrecondition, "not by text"}};
constexpr const char* kNamed = R"({"id":"c-1","created":7,"choices":[]})";

TEST_F(FailoverOfStreams, GoesOnByTheTextWhereNobodyTellsTokens) {
  FakeEngine& near = add(
      "near", 1, {tell(kNamed, ""), tell("a", "Hel"), tell("b", "l"), FakeEngine::Hang{}, kDies});
  FakeEngine& middle = add("middle", 40, {kCannot});
  FakeEngine& far = add("far", 90, {tell("c", "o"), FakeEngine::Finish{finished("", 3)}});
  answer_.after_write = [&] { near.advance(); };
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_EQ(answer.text,
            framed(kNamed) + framed("a") + framed("b") + framed("c") + framed("[DONE]"));
  EXPECT_FALSE(answer.failure);
  EXPECT_EQ(middle.jobs.size(), 1U) << "it was asked, and could not";
  ASSERT_EQ(far.jobs.size(), 1U);
  ASSERT_NE(far.jobs[0].delivered, nullptr);
  EXPECT_EQ(api::resume_json(*far.jobs[0].delivered),
            R"({"text":"Hell","tokens":2,"id":"c-1","created":7})");
  EXPECT_EQ(observer_.resumed, 1);
  ASSERT_EQ(ledger_.records().size(), 1U) << "one request";
  EXPECT_EQ(ledger_.records()[0].outcome, Outcome::Completed);
  EXPECT_EQ(ledger_.records()[0].completion_tokens, 3U);
}

TEST_F(FailoverOfStreams, SaysWhyAStreamFailedAndNotWhoCouldNotGoOnWithIt) {
  FakeEngine& near = add("near", 1, {tell("a", "Hel"), FakeEngine::Hang{}, kDies});
  add("far", 90, {kCannot});
  answer_.after_write = [&] { near.advance(); };
  let_time_pass(milliseconds{200});
  const RecordedAnswer& answer = serve(kStream);
  ASSERT_TRUE(answer.failure);
  EXPECT_FALSE(answer.finished);
  EXPECT_NE(answer.failure->code, Code::FailedPrecondition);
}

TEST_F(FailoverOfStreams, DoesNotGoOnByTheTextOfWhatIsMoreThanText) {
  const auto fails_at_once = [&](const std::string& body) {
    FakeEngine& near = add("near", 1, {tell("a", "Hel"), FakeEngine::Hang{}, kDies});
    FakeEngine& far = add("far", 90, {tell("b", "lo"), FakeEngine::Finish{finished("", 2)}});
    answer_ = RecordedAnswer{};
    answer_.after_write = [&] { near.advance(); };
    EXPECT_TRUE(serve(body).failure) << body;
    EXPECT_TRUE(far.jobs.empty()) << body;
  };
  const std::string begin =
      R"({"model":"m","stream":true,"messages":[{"role":"user","content":"h"}],)";
  fails_at_once(begin + R"("n":2})");
  fails_at_once(begin + R"("tools":[{"type":"function"}]})");
  fails_at_once(begin + R"("response_format":{"type":"json_object"}})");
}

TEST_F(FailoverOfStreams, ATextThatIsFollowedByWhatIsNoTextCannotGoOn) {
  const Step call = FakeEngine::Say{"call", 1};
  FakeEngine& near = add("near", 1, {tell("a", "Hel"), call, FakeEngine::Hang{}, kDies});
  FakeEngine& far = add("far", 90, {tell("b", "lo"), FakeEngine::Finish{finished("", 2)}});
  answer_.after_write = [&] { near.advance(); };
  EXPECT_TRUE(serve(kStream).failure);
  EXPECT_TRUE(far.jobs.empty());
}

TEST_F(FailoverOfStreams, TellsAPeerThatAStreamCanGoOnByItsText) {
  caller_.role = Role::Site;
  local_ = true;
  add("here", 0, {tell("a", "Hel"), tell("b", "", true), FakeEngine::Finish{finished("", 1)}});
  EXPECT_EQ(without_sums(serve(kStream).text),
            "perigee: text=1\ndata: a\n\nperigee: end=1 text=1\ndata: b\n\n"
            "perigee: usage=prompt=5,cached=0,completion=1\ndata: [DONE]\n\n");
}

TEST_F(FailoverOfStreams, GoesOnWithATextThatAPeerTells) {
  caller_.role = Role::Site;
  local_ = true;
  FakeEngine& one = add("here", 0, {tell("c", "l"), FakeEngine::Hang{}, kDies});
  FakeEngine& two = add("also-here", 3, {tell("d", "o"), FakeEngine::Finish{finished("", 4)}});
  answer_.after_write = [&] { one.advance(); };
  const RecordedAnswer& answer =
      serve(R"({"perigee_resume":{"text":"Hel","tokens":2},"model":"m","stream":true,)"
            R"("messages":[{"role":"user","content":"hi"}]})");
  EXPECT_TRUE(answer.finished);
  EXPECT_EQ(answer.first_head.resumed, 2U);
  EXPECT_EQ(api::resume_json(*one.jobs.at(0).delivered), R"({"text":"Hel","tokens":2})");
  EXPECT_EQ(api::resume_json(*two.jobs.at(0).delivered), R"({"text":"Hell","tokens":3})");
}

TEST_F(FailoverOfStreams, TellsAPeerTheUsageOfTheWholeAnswerWhereItsEngineTellsNone) {
  caller_.role = Role::Site;
  local_ = true;
  add("here", 0, {tell("c", "lo", true), FakeEngine::Finish{Finished{}}});
  const RecordedAnswer& answer =
      serve(R"({"perigee_resume":{"text":"Hel","tokens":2},"model":"m","stream":true,)"
            R"("messages":[{"role":"user","content":"hi"}]})");
  EXPECT_NE(answer.text.find(",completion=3"), std::string::npos) << answer.text;
}

TEST_F(FailoverOfStreams, TokensThatAnotherSiteMadeDoNotMakeAnEngineFaster) {
  caller_.role = Role::Site;
  local_ = true;
  FakeEngine& here = add("here", 0,
                         {say("a", "8"), FakeEngine::Hang{}, say("b", "9", 0, true),
                          FakeEngine::Finish{finished("", 102)}});
  update("here", [](CandidateState& state) { state.load.decode_ms = 20; });
  const auto tpot_ms = [&] {
    RouteRequest route;
    route.model = ModelId{"m"};
    return router_.explain(route, clock_.now()).candidates.at(0).tpot_ms;
  };
  const double before_ms = tpot_ms();
  answer_.after_write = [&] {
    clock_.advance(milliseconds{20});
    here.advance();
  };
  std::string ids = "7";
  for (int i = 1; i < 100; ++i) ids += ",7";
  for (int i = 0; i < 10; ++i) {
    serve(R"({"perigee_resume":[{"ids":")" + ids +
          R"("}],"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})");
  }
  EXPECT_DOUBLE_EQ(tpot_ms(), before_ms) << "two tokens in 20 ms, not a hundred";
}

}  // namespace
}  // namespace perigee
