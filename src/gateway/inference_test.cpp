#include "gateway/inference.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include "engine/fake/fake_engine.h"
#include "ledger/memory/memory_ledger.h"

namespace perigee {
namespace {

using Step = FakeEngine::Step;

// An Answer that writes down what it is told.
class RecordedAnswer final : public Answer {
 public:
  Task<Result<>> respond(const AnswerHead& head, std::string_view body) override {
    head_ = head;
    text += body;
    started_ = true;
    co_return Result<>{};
  }
  Task<Result<>> begin_stream(const AnswerHead& head) override {
    if (!started_) first_head = head;
    head_ = head;
    started_ = true;
    co_return Result<>{};
  }
  Task<Result<>> write(std::string_view events) override {
    if (reads_nothing) co_return Error{Code::DeadlineExceeded, "the client reads nothing"};
    text += events;
    if (leave_after_write && left_) left_();
    if (after_write) after_write();
    co_return Result<>{};
  }
  Task<Result<>> finish(std::string_view events) override {
    text += events;
    finished = true;
    co_return Result<>{};
  }
  Task<Result<>> fail(const AnswerHead& head, const Error& error) override {
    head_ = head;
    failure = error;
    co_return Result<>{};
  }
  bool started() const override { return started_; }
  void watch_client(std::function<void()> left) override { left_ = std::move(left); }

  const AnswerHead& head() const { return head_; }
  std::string text;
  bool finished = false;
  AnswerHead first_head;  // of a stream
  bool leave_after_write = false;
  bool reads_nothing = false;
  std::function<void()> after_write;
  std::optional<Error> failure;

 private:
  AnswerHead head_;
  bool started_ = false;
  std::function<void()> left_;
};

class CountingObserver final : public InferenceObserver {
 public:
  void on_done(Operation /*operation*/, const ModelId& /*model*/, int /*status*/, Duration /*took*/,
               std::optional<Duration> /*first_token*/, const Usage& /*usage*/) override {
    ++done;
  }
  void on_retry(const ModelId& /*model*/, Code /*why*/) override { ++retries; }
  int done = 0;
  int retries = 0;
};

class InferenceTest : public testing::Test {
 protected:
  InferenceTest() {
    directory_->grid = "test";
    TenantRecord tenant;
    tenant.id = TenantId{"acme"};
    directory_->tenants.emplace(tenant.id, tenant);
    caller_.tenant = tenant.id;
    caller_.key_id = "k1";
  }

  // A candidate at a site of its own, `rtt_ms` away: smaller is planned first.
  FakeEngine& add(const std::string& site, int rtt_ms, std::vector<Step> script) {
    auto engine = std::make_shared<FakeEngine>(std::move(script));
    engine->site = SiteId{site};
    CandidateState state;
    state.id = CandidateId{SiteId{site}, EngineId{}, ModelId{"m"}};
    state.jurisdiction = JurisdictionId{"de"};
    state.healthy = true;
    state.rtt = milliseconds{rtt_ms};
    state.load.slots = 8;
    state.load.prefill_tokens_per_s = 1000;
    state.load.decode_ms = 1;
    state.reported = clock_.now();
    auto index = router_.update(state, clock_.now());
    engines_.set(*index, engine);
    return *engine;
  }

  RecordedAnswer& serve(const std::string& body) {
    body_ = body;
    body_.reserve(body_.size() + net::kBodyPadding);
    auto call = std::make_unique<InferenceCall>();
    call->caller = caller_;
    call->body = body_;
    call->hints.time_left = time_left_;
    asio::co_spawn(io_.get_executor(), inference_->serve(std::move(call), answer_),
                   [this](const std::exception_ptr& thrown) {
                     EXPECT_EQ(thrown, nullptr);
                     io_.stop();
                   });
    io_.restart();
    io_.run_for(seconds{5});
    return answer_;
  }

  static constexpr const char* kStream =
      R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})";
  static constexpr const char* kWhole =
      R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";

  static Finished finished(std::string body, std::uint32_t tokens) {
    Finished end;
    end.body = std::move(body);
    end.usage = Usage{5, tokens, 0};
    return end;
  }

  ManualClock clock_;
  asio::io_context io_;
  asio::steady_timer mover_{io_};
  Router router_{RouterOptions{}};
  EngineTable engines_;
  MemoryLedger ledger_;
  CountingObserver observer_;
  std::shared_ptr<DirectorySnapshot> directory_ = std::make_shared<DirectorySnapshot>();
  // Lets `clock_` run while the loop waits for it.
  void let_time_pass(Duration each_10_ms) {
    mover_.expires_after(milliseconds{10});
    mover_.async_wait([this, each_10_ms](boost::system::error_code error) {
      if (error) return;
      clock_.advance(each_10_ms);
      let_time_pass(each_10_ms);
    });
  }
  // Serves `kStream` so often that three failures would have opened the breaker of "near".
  BreakerState breaker_after_four() {
    for (int i = 0; i < 4; ++i) serve(kStream);
    const auto near = router_.find({SiteId{"near"}, EngineId{}, ModelId{"m"}});
    return router_.breaker(*near, clock_.now());
  }

  Caller caller_;
  std::optional<Duration> time_left_;
  std::string body_;
  RecordedAnswer answer_;
  std::unique_ptr<Ticker> ticker_ =
      std::make_unique<Ticker>(io_.get_executor(), clock_, milliseconds{20});
  std::unique_ptr<Inference> inference_ = std::make_unique<Inference>(
      Inference::Parts{io_.get_executor(), clock_, router_, engines_, ledger_, *ticker_, observer_,
                       [this] { return directory_; }, 1},
      InferenceOptions{SiteId{"here"}, {}, seconds{15}, seconds{60}, seconds{600}, 100});
};

TEST_F(InferenceTest, StreamsChunksThenDone) {
  add("near", 1,
      {FakeEngine::Say{R"({"a":1})"}, FakeEngine::Say{R"({"a":2})"},
       FakeEngine::Finish{finished("", 2)}});
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_EQ(answer.text, "data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: [DONE]\n\n");
  EXPECT_TRUE(answer.finished);
  EXPECT_EQ(answer.head().site, "near");
  ASSERT_EQ(ledger_.records().size(), 1U);
  EXPECT_EQ(ledger_.records()[0].completion_tokens, 2U);
  EXPECT_EQ(ledger_.records()[0].prompt_tokens, 5U);
  EXPECT_EQ(ledger_.records()[0].outcome, Outcome::Completed);
  EXPECT_EQ(ledger_.records()[0].serving_site, SiteId{"near"});
}

TEST_F(InferenceTest, BillsWhatItCountedWhenAnEngineReportsNoUsage) {
  add("near", 1, {FakeEngine::Say{R"({"a":1})", 3}, FakeEngine::Finish{Finished{}}});
  serve(kStream);
  ASSERT_EQ(ledger_.records().size(), 1U);
  EXPECT_EQ(ledger_.records()[0].outcome, Outcome::Completed);
  EXPECT_EQ(ledger_.records()[0].completion_tokens, 3U);
  EXPECT_GT(ledger_.records()[0].prompt_tokens, 0U) << "the estimate";
}

TEST_F(InferenceTest, FramesAChunkOfSeveralLinesAsOneEvent) {
  add("near", 1, {FakeEngine::Say{"{\"a\":\n1}"}, FakeEngine::Finish{finished("", 1)}});
  EXPECT_EQ(serve(kStream).text, "data: {\"a\":\ndata: 1}\n\ndata: [DONE]\n\n");
}

TEST_F(InferenceTest, TriesTheNextCandidateBeforeTheFirstByte) {
  add("near", 1, {FakeEngine::Fail{Error{Code::Unavailable, "down"}}});
  add("far", 90, {FakeEngine::Finish{finished(R"({"ok":true})", 1)}});
  const RecordedAnswer& answer = serve(kWhole);
  EXPECT_EQ(answer.text, R"({"ok":true})");
  EXPECT_EQ(answer.head().site, "far");
  EXPECT_EQ(observer_.retries, 1);
  EXPECT_FALSE(answer.failure);
}

TEST_F(InferenceTest, DoesNotRetryARequestThatIsAtFault) {
  add("near", 1, {FakeEngine::Fail{Error{Code::InvalidArgument, "bad", "messages"}}});
  FakeEngine& far = add("far", 90, {FakeEngine::Finish{finished("{}", 1)}});
  const RecordedAnswer& answer = serve(kWhole);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::InvalidArgument);
  EXPECT_TRUE(far.jobs.empty());
  EXPECT_EQ(ledger_.records().at(0).outcome, Outcome::Failed);
  EXPECT_EQ(ledger_.records().at(0).prompt_tokens, 0U) << "nothing ran";
}

TEST_F(InferenceTest, NeverRepeatsBytesAfterTheFirst) {
  FakeEngine& near = add("near", 1,
                         {FakeEngine::Say{R"({"a":1})"}, FakeEngine::Hang{},
                          FakeEngine::Fail{Error{Code::Unavailable, "x"}}});
  FakeEngine& far = add("far", 90, {FakeEngine::Finish{finished("", 1)}});
  answer_.after_write = [&] { near.advance(); };
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_EQ(answer.text, "data: {\"a\":1}\n\n");
  ASSERT_TRUE(answer.failure);
  EXPECT_TRUE(far.jobs.empty());
}

TEST_F(InferenceTest, TriesTheNextWhenAnEngineFailsBeforeItsBytesWentOut) {
  add("near", 1, {FakeEngine::Say{R"({"a":1})"}, FakeEngine::Fail{Error{Code::Unavailable, "x"}}});
  add("far", 90, {FakeEngine::Say{R"({"b":1})"}, FakeEngine::Finish{finished("", 1)}});
  EXPECT_EQ(serve(kStream).text, "data: {\"b\":1}\n\ndata: [DONE]\n\n");
}

TEST_F(InferenceTest, CancelsTheEngineAndBillsWhatWasDeliveredWhenTheClientLeaves) {
  FakeEngine& near = add("near", 1, {FakeEngine::Say{R"({"a":1})", 3}, FakeEngine::Hang{}});
  answer_.leave_after_write = true;
  serve(kStream);
  EXPECT_EQ(near.cancelled, 1);
  EXPECT_EQ(inference_->running(), 0U);
  ASSERT_EQ(ledger_.records().size(), 1U);
  EXPECT_EQ(ledger_.records()[0].completion_tokens, 3U);
  EXPECT_EQ(ledger_.records()[0].outcome, Outcome::Abandoned);
  EXPECT_FALSE(answer_.failure);
}

TEST_F(InferenceTest, BeatsBeforeTheFirstTokenAndStillRetriesWhenTheEngineStaysSilent) {
  add("near", 1, {FakeEngine::Hang{}});
  add("far", 90, {FakeEngine::Say{R"({"a":1})"}, FakeEngine::Finish{finished("", 1)}});
  let_time_pass(seconds{5});
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_TRUE(answer.text.starts_with(": keep-alive\n\n")) << answer.text;
  EXPECT_TRUE(answer.text.ends_with("data: {\"a\":1}\n\ndata: [DONE]\n\n")) << answer.text;
  EXPECT_EQ(observer_.retries, 1);
  EXPECT_EQ(answer.first_head.site, "") << "who serves is not known at a heartbeat";
}

TEST_F(InferenceTest, HoldsNoClientsDeadlineAgainstAnEngine) {
  add("near", 1, {FakeEngine::Hang{}});
  time_left_ = milliseconds{200};
  let_time_pass(milliseconds{100});
  EXPECT_EQ(breaker_after_four(), BreakerState::Closed);
  ASSERT_TRUE(answer_.failure);
  EXPECT_EQ(answer_.failure->code, Code::DeadlineExceeded);
}

TEST_F(InferenceTest, HoldsNoSlowClientAgainstAnEngine) {
  add("near", 1, {FakeEngine::Say{R"({"a":1})"}, FakeEngine::Hang{}});
  answer_.reads_nothing = true;
  EXPECT_EQ(breaker_after_four(), BreakerState::Closed);
  EXPECT_EQ(ledger_.records().back().outcome, Outcome::Abandoned);
}

TEST_F(InferenceTest, LeavesAnEngineThatFailsFourTimes) {
  add("near", 1, {FakeEngine::Fail{Error{Code::Unavailable, "down"}}});
  EXPECT_EQ(breaker_after_four(), BreakerState::Open);
}

TEST_F(InferenceTest, RefusesWhatTheLawOfTheTenantForbids) {
  add("near", 1, {FakeEngine::Finish{finished("{}", 1)}});
  directory_->tenants.at(TenantId{"acme"}).jurisdictions = {JurisdictionId{"fr"}};
  const RecordedAnswer& answer = serve(kWhole);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::DataResidency);
}

TEST_F(InferenceTest, SaltsDifferByTenantAndGrid) {
  EXPECT_EQ(cache_salt("g", TenantId{"a"}), cache_salt("g", TenantId{"a"}));
  EXPECT_NE(cache_salt("g", TenantId{"a"}), cache_salt("g", TenantId{"b"}));
  EXPECT_NE(cache_salt("g", TenantId{"a"}), cache_salt("h", TenantId{"a"}));
}

}  // namespace
}  // namespace perigee
