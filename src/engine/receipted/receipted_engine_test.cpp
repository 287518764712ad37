#include "engine/receipted/receipted_engine.h"

#include <gtest/gtest.h>

#include "engine/fake/fake_engine.h"

namespace perigee {
namespace {

using Step = FakeEngine::Step;

class ListBook final : public proof::ReceiptBook {
 public:
  Result<> reserve() override {
    if (full) return Error{Code::ResourceExhausted, "full"};
    ++places;
    return {};
  }
  void give_back() noexcept override { --places; }
  std::string give(std::unique_ptr<proof::ReceiptDraft> draft) noexcept override {
    --places;
    drafts.push_back(std::move(draft));
    return "here." + std::to_string(drafts.size()) + ".00000000";
  }
  std::vector<std::unique_ptr<proof::ReceiptDraft>> drafts;
  int places = 0;
  bool full = false;
};

class ListSink final : public EventSink {
 public:
  void on_head(const Head& /*head*/) override {}
  bool on_chunk(const Chunk& /*chunk*/) override {
    if (leave) generation.reset();
    return true;
  }
  void on_finished(Finished end) override { finished = std::move(end); }
  void on_error(Error what) override { error = std::move(what); }
  std::unique_ptr<Generation> generation;
  std::optional<Finished> finished;
  std::optional<Error> error;
  bool leave = false;
};

class ReceiptedEngineTest : public ::testing::Test {
 protected:
  void serve(std::vector<Step> script) {
    inner = std::make_shared<FakeEngine>(std::move(script));
    ReceiptedEngine engine{inner, book, clock, [this] { return facts; }};
    sink.generation = engine.start(job(), sink);
  }
  Job job() const {
    Job job;
    job.model = ModelId{"m"};
    job.body = std::make_shared<const std::string>(body);
    job.resume_span = resume_span;
    job.prompt_tokens = 9;
    job.context.request_id = "req_1";
    job.context.tenant = TenantId{"shop"};
    job.context.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    return job;
  }

  ManualClock clock;
  ListBook book;
  ListSink sink;
  std::shared_ptr<FakeEngine> inner;
  std::shared_ptr<const proof::ReceiptFacts> facts = std::make_shared<proof::ReceiptFacts>();
  std::string body = R"({"model":"m"})";
  BodySpan resume_span;
};

TEST_F(ReceiptedEngineTest, GivesAReceiptForAWholeAnswer) {
  serve({FakeEngine::Finish{Finished{R"({"a":1})", Usage{12, 4, 3}, {}}}});
  ASSERT_TRUE(sink.finished);
  EXPECT_EQ(sink.finished->receipt, "here.1.00000000");
  ASSERT_EQ(book.drafts.size(), 1U);
  proof::ReceiptDraft& draft = *book.drafts.front();
  EXPECT_EQ(draft.outcome, Outcome::Completed);
  EXPECT_EQ(draft.whole, R"({"a":1})");
  EXPECT_EQ(draft.usage.completion_tokens, 4U);
  EXPECT_EQ(draft.trace, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(draft.request_id, "req_1");
}

TEST_F(ReceiptedEngineTest, KeepsNoLongAnswerToHashItLater) {
  const std::string body(proof::kHashedLaterBytesMax + 1, 'x');
  serve({FakeEngine::Finish{Finished{body, Usage{12, 4, 3}, {}}}});
  proof::ReceiptDraft& draft = *book.drafts.front();
  EXPECT_EQ(draft.whole, "");
  EXPECT_EQ(draft.response.finish(), sha256(body));
}

TEST_F(ReceiptedEngineTest, HashesWhatAStreamYields) {
  serve({FakeEngine::Say{"{1}", 2}, FakeEngine::Say{"{2}", 1}, FakeEngine::Finish{}});
  ASSERT_EQ(book.drafts.size(), 1U);
  proof::ReceiptDraft& draft = *book.drafts.front();
  EXPECT_EQ(draft.response.finish(), sha256("{1}\n{2}\n"));
  EXPECT_EQ(draft.usage.completion_tokens, 3U);  // the engine reported none
  EXPECT_EQ(draft.usage.prompt_tokens, 9U);
}

TEST_F(ReceiptedEngineTest, GivesAReceiptForWhatWasAbandonedOrFailed) {
  serve({FakeEngine::Say{"{1}"}, FakeEngine::Hang{}});
  EXPECT_TRUE(book.drafts.empty());
  sink.generation.reset();
  ASSERT_EQ(book.drafts.size(), 1U);
  EXPECT_EQ(book.drafts.front()->outcome, Outcome::Abandoned);
  EXPECT_EQ(inner->cancelled, 1);
  serve({FakeEngine::Say{"{1}"}, FakeEngine::Fail{Error{Code::Unavailable, "gone"}}});
  ASSERT_EQ(book.drafts.size(), 2U);
  EXPECT_EQ(book.drafts.back()->outcome, Outcome::Failed);
  EXPECT_EQ(sink.error->message, "gone");
  EXPECT_EQ(book.places, 0);
}

TEST_F(ReceiptedEngineTest, GivesNoneWhereNothingWasYielded) {
  serve({FakeEngine::Fail{Error{Code::Unavailable, "gone"}}});
  serve({FakeEngine::Hang{}});
  sink.generation.reset();
  EXPECT_TRUE(book.drafts.empty());
  EXPECT_EQ(book.places, 0);
}

TEST_F(ReceiptedEngineTest, EndsInsideACallOfItsSink) {
  serve({FakeEngine::Hang{}, FakeEngine::Say{"{1}"}, FakeEngine::Finish{}});
  sink.leave = true;
  inner->advance();
  ASSERT_EQ(book.drafts.size(), 1U);
  EXPECT_EQ(book.drafts.front()->outcome, Outcome::Abandoned);
  EXPECT_FALSE(sink.finished);
}

TEST_F(ReceiptedEngineTest, TellsWhetherItsAnswerWaitsOrIsLost) {
  serve({FakeEngine::Hang{}});
  EXPECT_FALSE(sink.generation->waits());
  EXPECT_EQ(sink.generation->lost(), std::nullopt);
  inner->waits = true;
  EXPECT_TRUE(sink.generation->waits());
  for (const bool lost : {false, true}) {
    inner->lost = lost;
    EXPECT_EQ(sink.generation->lost(), lost);
  }
  sink.generation.reset();
}

TEST_F(ReceiptedEngineTest, ServesNothingWithoutAPlaceForAReceipt) {
  book.full = true;
  serve({FakeEngine::Finish{}});
  EXPECT_EQ(sink.error->code, Code::ResourceExhausted);
  EXPECT_TRUE(inner->jobs.empty());
}

TEST_F(ReceiptedEngineTest, TellsTheClientsBytesFromWhatAnIngressAdded) {
  body = R"({"perigee_resume":[{"ids":"1,2,3"}],"model":"m"})";
  resume_span = {18, 17};
  serve({FakeEngine::Say{"{1}", 2}, FakeEngine::Finish{}});
  ASSERT_EQ(book.drafts.size(), 1U);
  const proof::ReceiptDraft& draft = *book.drafts.front();
  std::string clients = *draft.body;
  clients.erase(draft.not_the_clients.offset, draft.not_the_clients.size);
  EXPECT_EQ(clients, R"({"model":"m"})");
  EXPECT_EQ(draft.resumed_tokens, 3U);
  EXPECT_EQ(draft.usage.completion_tokens, 5U);
}

}  // namespace
}  // namespace perigee
