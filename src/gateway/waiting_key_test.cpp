// What becomes of requests whose key or tenant is refused while they wait for their share of a
// limit.
#include "gateway/inference_test.h"

namespace perigee {
namespace {

class WaitingForAShare : public InferenceTest {
 protected:
  WaitingForAShare() {
    know_key();
    const auto bounds = std::make_shared<CallerBounds>();
    bounds->account = caller_.key_id;
    bounds->scope.requests_per_minute = 3;
    caller_.bounds = bounds;
    inference_ = std::make_unique<Inference>(
        Inference::Parts{io_.get_executor(),
                         clock_,
                         router_,
                         engines_,
                         ledger_,
                         *ticker_,
                         observer_,
                         [this] { return directory_; },
                         1,
                         {},
                         &gate_},
        InferenceOptions{SiteId{"here"}, {}, seconds{15}, seconds{60}, seconds{600}, 100});
    near_ = &add("near", 1, {FakeEngine::Finish{finished("{}", 1)}});
  }
  // From now on control answers a moment later; `meanwhile` happens before.
  void happens(std::function<void()> meanwhile) {
    gate_.on_want([this, meanwhile = std::move(meanwhile)] {
      asio::post(io_, [this, meanwhile] {
        meanwhile();
        grant();
      });
    });
  }
  void grant() {
    const RateReport report = gate_.report();
    auto grants = book_.take(
        SiteId{"here"}, report, [](const RateLimitId&) { return RateBook::Limit{3, false}; },
        clock_.now());
    ASSERT_TRUE(grants);
    gate_.granted(report, *grants);
  }
  void expect_refused(Code code) {
    const RecordedAnswer& answer = serve(kWhole);
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->code, code);
    EXPECT_TRUE(near_->jobs.empty());
    EXPECT_TRUE(ledger_.records().empty()) << "nothing ran";
  }
  // Whether a replay for it is given, or why not.
  Result<> replayed() {
    Result<> counted;
    asio::co_spawn(io_, count_into(counted),
                   [](const std::exception_ptr& thrown) { EXPECT_EQ(thrown, nullptr); });
    io_.restart();
    io_.poll();
    return counted;
  }

  std::function<void()> revokes_ = [this] {
    directory_->keys.update(caller_.key_id, [](KeyRecord& key) { key.revoked = true; });
  };
  FakeEngine* near_ = nullptr;

 private:
  Task<> count_into(Result<>& counted) {
    AnswerHead head;
    counted = co_await inference_->count_replay(caller_, head);
  }
  RateBook book_{{}, clock_.now()};
  RateGate gate_{io_.get_executor(), clock_, 1};
};

TEST_F(WaitingForAShare, RunsWhenItsKeyStillStands) {
  happens([] {});
  EXPECT_EQ(serve(kWhole).text, "{}");
  EXPECT_TRUE(replayed());
}

TEST_F(WaitingForAShare, IsRefusedWhenItsKeyWasRevoked) {
  happens(revokes_);
  expect_refused(Code::Unauthenticated);
}

TEST_F(WaitingForAShare, IsRefusedWhenItsTenantWasRemovedWhoseLawIsNotKnownThen) {
  happens([this] { directory_->tenants.erase(caller_.tenant); });
  expect_refused(Code::Unauthenticated);
}

TEST_F(WaitingForAShare, IsRefusedWhenItsTenantWasSuspended) {
  happens([this] {
    directory_->tenants.update(caller_.tenant, [](TenantRecord& each) { each.suspended = true; });
  });
  expect_refused(Code::PermissionDenied);
}

TEST_F(WaitingForAShare, ReplaysNothingForAKeyThatWasRevoked) {
  happens(revokes_);
  const Result<> counted = replayed();
  ASSERT_FALSE(counted);
  EXPECT_EQ(counted.error().code, Code::Unauthenticated);
}

}  // namespace
}  // namespace perigee
