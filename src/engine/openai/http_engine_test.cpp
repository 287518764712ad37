#include "engine/openai/http_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/test_support.h"

namespace perigee {
namespace {

using ::testing::ElementsAre;

// Writes down what an engine tells, and says when it has ended.
class RecordedSink final : public EventSink {
 public:
  void on_head(const Head& head) override { site = head.site; }
  bool on_chunk(const Chunk& chunk) override {
    chunks.emplace_back(chunk.json);
    tokens += chunk.tokens;
    return true;
  }
  void on_finished(Finished with) override {
    finished = std::move(with);
    ended_.set_value();
  }
  void on_error(Error with) override {
    error = std::move(with);
    ended_.set_value();
  }
  void wait() {
    ASSERT_EQ(ended_.get_future().wait_for(std::chrono::seconds{20}), std::future_status::ready);
  }

  SiteId site;
  std::vector<std::string> chunks;
  std::uint32_t tokens = 0;
  std::optional<Finished> finished;
  std::optional<Error> error;

 private:
  std::promise<void> ended_;
};

net::Handler answers(int status, std::vector<net::Header> headers, std::string body) {
  return [=](net::Request& /*request*/, net::ResponseWriter& out) -> Task<void> {
    auto sent = co_await out.respond(status, headers, body);
    static_cast<void>(sent);
  };
}

net::Handler streams(std::string events) {
  return answers(200, {{"content-type", "text/event-stream"}}, std::move(events));
}

Job job_of(bool stream) {
  Job job;
  job.model = ModelId{"m"};
  job.body = std::make_shared<const std::string>(R"({"model":"m","messages":[]})");
  job.stream = stream;
  job.model_span = BodySpan{9, 3};
  job.context.request_id = "req_1";
  job.context.tenant = TenantId{"acme"};
  job.context.cache_salt = "0123";
  return job;
}

// Runs one job against a server that behaves as `handler` says.
std::unique_ptr<RecordedSink> run(net::Handler handler, const Job& job, bool trusted) {
  const SystemClock clock;
  auto sink = std::make_unique<RecordedSink>();
  net::TestServer server{std::move(handler)};
  net::IoThread& io = server.io();
  std::optional<net::HttpClient> client;
  std::optional<HttpEngine> engine;
  std::unique_ptr<Generation> generation;
  io.call([&] {
    HttpEngineOptions options;
    options.endpoint = server.endpoint();
    options.trusted = trusted;
    client.emplace(io.executor(), clock, net::ClientLimits{});
    engine.emplace(io.executor(), clock, *client, options);
    generation = engine->start(job, *sink);
    return 0;
  });
  sink->wait();
  io.call([&] {
    generation.reset();
    engine.reset();
    client.reset();
    return 0;
  });
  return sink;
}

TEST(HttpEngine, RelaysAnEngineProcessesStreamWithItsTokens) {
  const auto sink = run(streams("perigee: ids=5,6\ndata: {\"a\":1}\n\n"
                                "perigee: usage=prompt=7,cached=3,completion=2\ndata: [DONE]\n\n"),
                        job_of(true), true);
  ASSERT_TRUE(sink->finished) << sink->error->message;
  EXPECT_THAT(sink->chunks, ElementsAre(R"({"a":1})"));
  EXPECT_EQ(sink->tokens, 2U);
  EXPECT_EQ(sink->finished->usage.prompt_tokens, 7U);
  EXPECT_EQ(sink->finished->usage.cached_tokens, 3U);
}

TEST(HttpEngine, TakesAChunkWhoseErrorIsNullForAChunk) {
  for (const bool trusted : {true, false}) {
    const auto sink = run(streams("data: {\"error\":null,\"choices\":[]}\n\ndata: [DONE]\n\n"),
                          job_of(true), trusted);
    ASSERT_TRUE(sink->finished) << sink->error->message;
    EXPECT_THAT(sink->chunks, ElementsAre(R"({"error":null,"choices":[]})"));
  }
}

TEST(HttpEngine, EndsWithTheErrorThatAStreamReports) {
  for (const bool trusted : {true, false}) {
    const auto sink = run(streams("data: {\"error\":{\"message\":\"no memory\",\"code\":500}}\n\n"),
                          job_of(true), trusted);
    ASSERT_TRUE(sink->error);
    EXPECT_THAT(sink->error->message, ::testing::HasSubstr("no memory"));
  }
}

TEST(HttpEngine, DoesNotTakeAStreamThatStopsForOneThatEnds) {
  const auto sink = run(streams("data: {\"a\":1}\n\n"), job_of(true), false);
  EXPECT_FALSE(sink->finished);
  ASSERT_TRUE(sink->error);
}

TEST(HttpEngine, SendsASessionOfTheGreatestLength) {
  std::string seen;
  Job job = job_of(false);
  job.context.session = std::string(512, 's');
  const auto sink = run(
      [&](net::Request& request, net::ResponseWriter& out) -> Task<void> {
        seen = request.header("perigee-session");
        auto sent = co_await out.respond(200, {}, "{}");
        static_cast<void>(sent);
      },
      job, true);
  ASSERT_TRUE(sink->finished) << sink->error->message;
  EXPECT_EQ(seen, job.context.session);
}

TEST(HttpEngine, TellsAnExternalServerNothingOfTheTenant) {
  std::string seen;
  const auto sink = run(
      [&](net::Request& request, net::ResponseWriter& out) -> Task<void> {
        for (const net::Header& header : request.headers) seen.append(header.name).append(" ");
        auto sent = co_await out.respond(200, {}, "{}");
        static_cast<void>(sent);
      },
      job_of(false), false);
  ASSERT_TRUE(sink->finished);
  EXPECT_EQ(seen.find("perigee"), std::string::npos) << seen;
}

TEST(HttpEngine, ToldToComeBackLaterSaysWhen) {
  const auto sink = run(answers(429, {{"retry-after", "2"}}, R"({"error":{"message":"full"}})"),
                        job_of(false), true);
  ASSERT_TRUE(sink->error);
  EXPECT_EQ(sink->error->code, Code::ResourceExhausted);
  EXPECT_EQ(sink->error->retry_after_ms, 2000);
}

}  // namespace
}  // namespace perigee
