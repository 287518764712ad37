#include "gateway/inference_test.h"

namespace perigee {
namespace {

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
  let_time_pass(milliseconds{100});
  add("near", 1, {FakeEngine::Fail{Error{Code::Unavailable, "down"}}});
  EXPECT_EQ(breaker_after_four(), BreakerState::Open);
}

TEST_F(InferenceTest, RefusesWhatTheLawOfTheTenantForbids) {
  add("near", 1, {FakeEngine::Finish{finished("{}", 1)}});
  bind_tenant("fr");
  const RecordedAnswer& answer = serve(kWhole);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::DataResidency);
}

TEST_F(InferenceTest, WhatIsCompleteIsSentToItsEndThoughItsKeyIsRevokedMeanwhile) {
  const std::string body = R"({"a body":"that is no short string"})";
  add("near", 1, {FakeEngine::Finish{finished(body, 1)}});
  know_key();
  for (const char* request : {kWhole, kStream}) {
    answer_ = RecordedAnswer{};
    answer_.as_it_is_sent = [&] {
      directory_->keys.update(caller_.key_id, [](KeyRecord& key) { key.revoked = true; });
      inference_->follow(*directory_);
    };
    const RecordedAnswer& answer = serve(request);
    EXPECT_EQ(answer.text, request == kWhole ? body : framed("[DONE]"));
    EXPECT_FALSE(answer.failure);
    EXPECT_EQ(ledger_.records().back().outcome, Outcome::Completed);
  }
}

TEST_F(InferenceTest, AStreamIsEndedWhenItsKeyIsRevokedBeforeItsFirstWordIsSent) {
  FakeEngine& near = add("near", 1, {FakeEngine::Say{R"({"a":1})"}, FakeEngine::Hang{}});
  know_key();
  answer_.as_it_is_sent = [&] {
    directory_->keys.update(caller_.key_id, [](KeyRecord& key) { key.revoked = true; });
    inference_->follow(*directory_);
  };
  const RecordedAnswer& answer = serve(kStream);
  EXPECT_EQ(answer.text, "");
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->code, Code::Unauthenticated);
  EXPECT_EQ(near.cancelled, 1);
}

TEST_F(InferenceTest, SaltsDifferByTenantAndGrid) {
  EXPECT_EQ(cache_salt("g", TenantId{"a"}), cache_salt("g", TenantId{"a"}));
  EXPECT_NE(cache_salt("g", TenantId{"a"}), cache_salt("g", TenantId{"b"}));
  EXPECT_NE(cache_salt("g", TenantId{"a"}), cache_salt("h", TenantId{"a"}));
}

}  // namespace
}  // namespace perigee
