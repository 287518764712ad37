// An answer that one stub server begins and another ends: what a client of both has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>

#include "engine/openai/http_engine.h"
#include "net/test_support.h"

namespace perigee {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;

// What a gateway keeps of a stream that it relays.
class RelayingSink final : public EventSink {
 public:
  void on_head(const Head& /*head*/) override {}
  bool on_chunk(const Chunk& chunk) override {
    chunks.emplace_back(chunk.json);
    tokens += chunk.tokens;
    if (chunk.text) {
      delivered.add_text(*chunk.text, chunk.tokens);
    } else if (chunk.tokens > 0) {
      delivered.lose_track();
    }
    if (chunk.ends) delivered.finish(0);
    const json::object object = json::parse(chunk.json).as_object();
    if (object.contains("id")) {
      delivered.name_text(json::serialize(object.at("id")), json::serialize(object.at("created")));
    }
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

  Delivered delivered;  // may hold what was delivered before
  std::vector<std::string> chunks;
  std::uint32_t tokens = 0;
  std::optional<Finished> finished;
  std::optional<Error> error;

 private:
  std::promise<void> ended_;
};

// A stub of an OpenAI-compatible server: it answers with these events, then cuts the connection
// unless they end with [DONE].
struct StubServer {
  std::vector<std::string> events;
  int status = 200;
  bool says_resumed = false;
  std::string asked = {};  // the body of its last request
  int requests = 0;

  net::Handler handler() {
    return [this](net::Request& request, net::ResponseWriter& out) -> Task<void> {
      asked = std::string{request.body};
      ++requests;
      if (status != 200) {
        auto refused = co_await out.respond(status, {}, events.front());
        static_cast<void>(refused);
        co_return;
      }
      const std::array<net::Header, 2> headers{net::Header{"content-type", "text/event-stream"},
                                               net::Header{"perigee-resumed", "2"}};
      auto begun = co_await out.begin(200, {headers.data(), says_resumed ? 2U : 1U});
      if (!begun) co_return;
      for (const std::string& event : events) {
        const std::string framed = "data: " + event + "\n\n";
        auto written = co_await out.write(framed);
        if (!written) co_return;
      }
      if (events.back() != "[DONE]") co_return;
      auto ended = co_await out.finish();
      static_cast<void>(ended);
    };
  }
};

std::string piece(const std::string& id, const std::string& delta,
                  const std::string& finish = "null") {
  return R"({"id":")" + id + R"(","object":"chat.completion.chunk","created":)" +
         (id == "first" ? "1700" : "1800") + R"(,"model":"up","choices":[{"index":0,"delta":)" +
         delta + R"(,"finish_reason":)" + finish + "}]}";
}
std::string say(const std::string& id, const std::string& text) {
  return piece(id, R"({"content":")" + text + R"("})");
}
std::string role(const std::string& id) {
  return piece(id, R"({"role":"assistant","content":""})");
}
std::string usage(const std::string& id, int prompt, int completion) {
  return R"({"id":")" + id + R"(","created":1800,"choices":[],"usage":{"prompt_tokens":)" +
         std::to_string(prompt) + R"(,"completion_tokens":)" + std::to_string(completion) +
         R"(,"total_tokens":)" + std::to_string(prompt + completion) + "}}";
}

class TextResumeTest : public testing::Test {
 protected:
  // One attempt at a server; what was delivered before it goes on.
  std::unique_ptr<RelayingSink> attempt(StubServer& stub, const Delivered& before,
                                        api::TextResume how = api::TextResume::FinalMessage,
                                        bool trusted = false) {
    const SystemClock clock;
    auto sink = std::make_unique<RelayingSink>();
    sink->delivered = before;
    Job job = job_;
    job.body = std::make_shared<const std::string>(body_);
    job.model_span = BodySpan{9, 3};
    if (!before.empty()) job.delivered = std::make_shared<const Delivered>(before);
    net::TestServer server{stub.handler()};
    net::IoThread& io = server.io();
    std::optional<net::HttpClient> client;
    std::optional<HttpEngine> engine;
    std::unique_ptr<Generation> generation;
    io.call([&] {
      HttpEngineOptions options;
      options.endpoint = server.endpoint();
      options.trusted = trusted;
      options.resume_by_text = how;
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

  // What a stub server began, and how it died.
  Delivered begun() {
    StubServer dies{{role("first"), say("first", "Hello"), say("first", ", w")}};
    const auto sink = attempt(dies, Delivered{});
    EXPECT_TRUE(sink->error) << "the connection was cut";
    EXPECT_EQ(sink->chunks, dies.events) << "byte for byte";
    EXPECT_NE(sink->delivered.text(), nullptr);
    return sink->delivered;
  }

  static Job make_job() {
    Job job;
    job.model = ModelId{"m"};
    job.stream = true;
    job.include_usage = true;
    job.prompt_tokens = 9;
    job.context.request_id = "req_1";
    job.context.created = 1600;
    return job;
  }

  Job job_ = make_job();
  std::string body_ = R"({"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true,)"
                      R"("stream_options":{"include_usage":true},"max_tokens":8})";
};

TEST_F(TextResumeTest, AStreamGoesOnAtAnotherServer) {
  const Delivered before = begun();
  EXPECT_EQ(before.text()->text, "Hello, w");
  StubServer goes_on{{role("second"), say("second", "orld"), say("second", "!"),
                      piece("second", "{}", R"("stop")"), usage("second", 14, 2), "[DONE]"}};
  const auto sink = attempt(goes_on, before);
  ASSERT_TRUE(sink->finished) << sink->error->message;
  EXPECT_EQ(
      goes_on.asked,
      R"({"continue_final_message":true,"add_generation_prompt":false,"model":"m",)"
      R"("messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello, w"}],)"
      R"("stream":true,"stream_options":{"include_usage":true},"max_tokens":6})");
  const std::vector<std::string> expected{
      say("first", "orld"), say("first", "!"), piece("first", "{}", R"("stop")"),
      R"({"id":"first","created":1700,"choices":[],"usage":{"prompt_tokens":12,)"
      R"("completion_tokens":4,"total_tokens":16}})"};
  EXPECT_EQ(sink->chunks, expected) << "one role, one id, one date, one usage";
  EXPECT_EQ(sink->finished->usage.prompt_tokens, 12U);
  EXPECT_EQ(sink->finished->usage.completion_tokens, 4U);
  EXPECT_EQ(sink->tokens, 2U);
  EXPECT_EQ(sink->delivered.text()->text, "Hello, world!");
  EXPECT_TRUE(sink->delivered.text()->told);
}

TEST_F(TextResumeTest, AStreamSurvivesASecondDeath) {
  StubServer dies{{role("second"), say("second", "or")}};
  const auto second = attempt(dies, begun());
  ASSERT_TRUE(second->error);
  StubServer goes_on{{say("third", "ld!"), piece("third", "{}", R"("stop")"), "[DONE]"}};
  const auto third = attempt(goes_on, second->delivered, api::TextResume::Prefill);
  ASSERT_TRUE(third->finished);
  EXPECT_THAT(goes_on.asked, HasSubstr(R"({"role":"assistant","content":"Hello, wor"}])"));
  EXPECT_THAT(goes_on.asked, HasSubstr(R"("max_tokens":5)"));
  EXPECT_THAT(goes_on.asked, Not(HasSubstr("continue_final_message")));
  EXPECT_EQ(third->chunks.front().substr(0, 13), R"({"id":"first")");
}

TEST_F(TextResumeTest, AServerThatCannotIsNotAskedAndSaysSo) {
  const Delivered before = begun();
  StubServer other{{"[DONE]"}};
  const auto off = attempt(other, before, api::TextResume::Off);
  ASSERT_TRUE(off->error);
  EXPECT_EQ(off->error->code, Code::FailedPrecondition);
  body_.insert(1, R"("n":2,)");
  EXPECT_EQ(attempt(other, before)->error->code, Code::FailedPrecondition);
  EXPECT_EQ(other.requests, 0);
}

TEST_F(TextResumeTest, AServerThatDoesNotTakeTheTextLetsTheNextOneTry) {
  StubServer refuses{{R"({"error":{"message":"no such field","type":"invalid_request_error"}})"}};
  refuses.status = 400;
  const auto sink = attempt(refuses, begun());
  ASSERT_TRUE(sink->error);
  EXPECT_EQ(sink->error->code, Code::FailedPrecondition);
  EXPECT_THAT(sink->error->message, HasSubstr("no such field"));
}

TEST_F(TextResumeTest, ASiteThatKnowsNoTextIsAnotherOneThatCannot) {
  StubServer old_site{{R"({"error":{"message":"'perigee_resume' must be an array",)"
                       R"("type":"invalid_request_error","param":"perigee_resume"}})"}};
  old_site.status = 400;
  const auto sink = attempt(old_site, begun(), api::TextResume::Off, true);
  ASSERT_TRUE(sink->error);
  EXPECT_EQ(sink->error->code, Code::FailedPrecondition);
  EXPECT_THAT(old_site.asked,
              HasSubstr(R"("perigee_resume":{"text":"Hello, w","tokens":2,"id":"first",)"
                        R"("created":1700},)"));
}

TEST_F(TextResumeTest, NobodyIsAskedToGoOnInTheMiddleOfACharacter) {
  Delivered before;
  before.add_text(R"(a\ud83d)", 2);
  StubServer site{{R"({"error":{"message":"not valid JSON","type":"invalid_request_error"}})"}};
  site.status = 400;
  const auto sink = attempt(site, before, api::TextResume::Off, true);
  ASSERT_TRUE(sink->error);
  EXPECT_EQ(sink->error->code, Code::FailedPrecondition) << "its client is not at fault";
  EXPECT_EQ(site.requests, 0);
}

TEST_F(TextResumeTest, WhatHasAllItsTokensEndsByItsLength) {
  body_.replace(body_.find("\"max_tokens\":8"), 14, "\"max_tokens\":2");
  StubServer other{{"[DONE]"}};
  const auto sink = attempt(other, begun());
  ASSERT_TRUE(sink->finished);
  EXPECT_EQ(other.requests, 0);
  ASSERT_EQ(sink->chunks.size(), 2U);
  EXPECT_EQ(sink->chunks[0],
            R"({"id":"first","object":"chat.completion.chunk","created":1700,"model":"m",)"
            R"("choices":[{"index":0,"delta":{},"finish_reason":"length"}]})");
  EXPECT_THAT(sink->chunks[1], HasSubstr(R"("completion_tokens":2,"total_tokens":11)"));
  EXPECT_EQ(sink->finished->usage.completion_tokens, 2U);
}

TEST_F(TextResumeTest, WhatHasItsFinishReasonNeedsNobodyToEnd) {
  StubServer dies{{role("first"), say("first", "Hi"), piece("first", "{}", R"("stop")")}};
  const auto first = attempt(dies, Delivered{});
  ASSERT_TRUE(first->error);
  StubServer other{{"[DONE]"}};
  const auto sink = attempt(other, first->delivered, api::TextResume::Off);
  ASSERT_TRUE(sink->finished) << sink->error->message;
  EXPECT_EQ(other.requests, 0);
  ASSERT_EQ(sink->chunks.size(), 1U) << "the usage that it asked for";
  EXPECT_THAT(sink->chunks[0], HasSubstr(R"("prompt_tokens":9,"completion_tokens":1)"));
  dies.events.push_back(usage("first", 12, 1));
  const auto told = attempt(dies, Delivered{});
  EXPECT_TRUE(attempt(other, told->delivered)->chunks.empty()) << "it has that, too";
}

TEST_F(TextResumeTest, TheStreamOfAServerThatIsOffIsNotFollowed) {
  StubServer dies{{role("first"), say("first", "Hello")}};
  const auto sink = attempt(dies, Delivered{}, api::TextResume::Off);
  EXPECT_FALSE(sink->delivered.complete());
}

TEST_F(TextResumeTest, AStreamWithAToolCallIsNotFollowed) {
  StubServer dies{{say("first", "Hm"), piece("first", R"({"tool_calls":[{"index":0}]})")}};
  EXPECT_FALSE(attempt(dies, Delivered{})->delivered.complete());
}

TEST_F(TextResumeTest, ACompletionGoesOnBehindItsPrompt) {
  job_.operation = Operation::Completion;
  body_ = R"({"model":"m","prompt":"One, two","stream":true,"max_tokens":8})";
  const auto text = [](const std::string& id, const std::string& said) {
    return R"({"id":")" + id + R"(","created":1,"choices":[{"index":0,"text":")" + said +
           R"(","finish_reason":null}]})";
  };
  StubServer dies{{text("first", ", three"), text("first", ",")}};
  const auto first = attempt(dies, Delivered{}, api::TextResume::Prefill);
  StubServer goes_on{{text("second", " four"), "[DONE]"}};
  const auto sink = attempt(goes_on, first->delivered, api::TextResume::Prefill);
  ASSERT_TRUE(sink->finished);
  EXPECT_THAT(goes_on.asked, HasSubstr(R"("prompt":"One, two, three,",)"));
  EXPECT_EQ(sink->chunks.front(), text("first", " four"));
}

TEST_F(TextResumeTest, ASiteGoesOnByTextAndSaysSo) {
  StubServer site{{role("second"), say("second", "orld"), "[DONE]"}};
  const auto silent = attempt(site, begun(), api::TextResume::Off, true);
  ASSERT_TRUE(silent->error) << "it does not say that it goes on";
  EXPECT_EQ(silent->error->code, Code::FailedPrecondition);
  site.says_resumed = true;
  const auto sink = attempt(site, begun(), api::TextResume::Off, true);
  ASSERT_TRUE(sink->finished) << sink->error->message;
  EXPECT_EQ(sink->chunks, std::vector{say("first", "orld")});
  EXPECT_EQ(sink->delivered.text()->text, "Hello, world");
}

}  // namespace
}  // namespace perigee
