// For tests of inference: fake engines at sites of their own, an answer that writes down what it is
// told, and a clock that is moved by hand.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include "engine/fake/fake_engine.h"
#include "gateway/inference.h"
#include "ledger/memory/memory_ledger.h"

namespace perigee {

using Step = FakeEngine::Step;

// An Answer that writes down what it is told.
class RecordedAnswer final : public Answer {
 public:
  Task<Result<>> respond(const AnswerHead& head, std::string_view body) override {
    if (as_it_is_sent) as_it_is_sent();
    head_ = head;
    text += body;
    started_ = true;
    co_return Result<>{};
  }
  Task<Result<>> begin_stream(const AnswerHead& head) override {
    if (as_it_is_sent) as_it_is_sent();
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
  void leave() {
    if (left_) left_();
  }
  void watch_client(std::function<void()> left) override { left_ = std::move(left); }

  const AnswerHead& head() const { return head_; }
  std::string text;
  bool finished = false;
  AnswerHead first_head;  // of a stream
  bool leave_after_write = false;
  bool reads_nothing = false;
  std::function<void()> after_write;
  std::function<void()> as_it_is_sent;  // the head
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
  void on_resumed(const ModelId& /*model*/, Code /*why*/, Duration /*gap*/) override { ++resumed; }
  void on_hedged(const ModelId& /*model*/, bool second_won) override {
    ++(second_won ? hedges_won : hedges_lost);
  }
  int done = 0;
  int retries = 0;
  int resumed = 0;
  int hedges_won = 0;
  int hedges_lost = 0;
};

class InferenceTest : public testing::Test {
 protected:
  InferenceTest() {
    directory_->grid = "test";
    TenantRecord tenant;
    tenant.id = TenantId{"acme"};
    directory_->tenants.insert_or_assign(tenant.id, tenant);
    caller_.tenant = tenant.id;
    caller_.key_id = "k1";
  }

  // To a law.
  void bind_tenant(const char* jurisdiction) {
    directory_->tenants.update(caller_.tenant, [jurisdiction](TenantRecord& tenant) {
      tenant.jurisdictions = {JurisdictionId{jurisdiction}};
    });
  }

  // What Inference::follow() looks for: the key, and sites that joined.
  void know_key() {
    KeyRecord key;
    key.id = caller_.key_id;
    key.tenant = caller_.tenant;
    directory_->keys.insert_or_assign(key.id, key);
  }
  void join(const std::string& site) {
    know_key();
    SiteRecord record;
    record.id = SiteId{site};
    record.joined = true;
    directory_->sites.insert_or_assign(record.id, record);
  }

  // A candidate at a site of its own, `rtt_ms` away: smaller is planned first.
  FakeEngine& add(const std::string& site, int rtt_ms, std::vector<Step> script) {
    auto engine = std::make_shared<FakeEngine>(std::move(script));
    engine->site = SiteId{site};
    CandidateState state;
    state.id = CandidateId{SiteId{site}, EngineId{}, ModelId{"m"}};
    state.jurisdiction = JurisdictionId{"de"};
    state.healthy = true;
    state.local = local_;
    state.rtt = milliseconds{rtt_ms};
    state.load.slots = 8;
    state.load.prefill_tokens_per_s = 1000;
    state.load.decode_ms = 1;
    state.reported = clock_.now();
    auto index = router_.update(state, clock_.now());
    engines_.set(*index, engine);
    kept_.push_back(engine);
    return *engine;
  }

  RecordedAnswer& serve(const std::string& body) {
    body_ = body;
    body_.reserve(body_.size() + net::kBodyPadding);
    auto call = std::make_unique<InferenceCall>();
    call->caller = caller_;
    call->body = body_;
    call->hints.time_left = time_left_;
    call->hints.service_class = service_class_;
    if (caller_.role == Role::Site) {
      call->hints.hop = 1;
      call->hints.tenant = caller_.tenant;
      call->hints.cache_salt = "salt";
    }
    asio::co_spawn(io_.get_executor(), inference_->serve(std::move(call), answer_),
                   [this](const std::exception_ptr& thrown) {
                     EXPECT_EQ(thrown, nullptr);
                     io_.stop();
                   });
    io_.restart();
    io_.run_for(seconds{60});  // ends when it has been served
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
  asio::steady_timer watcher_{io_};
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

  CandidateIndex candidate(const std::string& site) const {
    return *router_.find({SiteId{site}, EngineId{}, ModelId{"m"}});
  }
  // What is known of a site changes.
  void update(const std::string& site, const std::function<void(CandidateState&)>& change) {
    CandidateState state = *router_.candidate(candidate(site));
    change(state);
    ASSERT_TRUE(router_.update(state, clock_.now()));
  }
  // Calls `act` as soon as `when` holds.
  void once(std::function<bool()> when, std::function<void()> act) {
    watcher_.expires_after(milliseconds{2});
    watcher_.async_wait([this, when = std::move(when),
                         act = std::move(act)](boost::system::error_code error) mutable {
      if (error) return;
      if (when()) return act();
      once(std::move(when), std::move(act));
    });
  }
  static Step say(const std::string& text, const std::string& ids, std::uint32_t choice = 0,
                  bool ends = false) {
    return FakeEngine::Say{text, ids.empty() ? 0U : 1U, ids, choice, ends, false};
  }
  static std::string framed(const std::string& text) { return "data: " + text + "\n\n"; }
  static inline const Step kDies = FakeEngine::Fail{Error{Code::Unavailable, "died"}};

  std::vector<std::shared_ptr<FakeEngine>> kept_;  // also those that were replaced
  bool local_ = false;                             // what add() makes is of this site
  Caller caller_;
  std::optional<Duration> time_left_;
  std::optional<ServiceClass> service_class_;
  std::string body_;
  RecordedAnswer answer_;
  std::unique_ptr<Ticker> ticker_ =
      std::make_unique<Ticker>(io_.get_executor(), clock_, milliseconds{20});
  std::unique_ptr<Inference> inference_ = std::make_unique<Inference>(
      Inference::Parts{io_.get_executor(), clock_, router_, engines_, ledger_, *ticker_, observer_,
                       [this] { return directory_; }, 1},
      InferenceOptions{SiteId{"here"}, {}, seconds{15}, seconds{60}, seconds{600}, 100});
};

}  // namespace perigee
