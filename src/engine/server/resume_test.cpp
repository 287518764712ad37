// Answers that go on where another engine left them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "api/resume_field.h"
#include "api/stream_field.h"
#include "engine/server/engine_server.h"
#include "engine/server/test_engine.h"

namespace perigee::engine_server {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Event {
  std::string data;
  std::string line;  // beside it
};

// The events of a stream, after the chunked framing is taken off.
std::vector<Event> events_of(const std::string& response) {
  constexpr std::string_view kLine = "perigee: ";
  std::vector<Event> events;
  std::size_t behind = 0;
  for (std::size_t at = 0; (at = response.find("data: ", at)) != std::string::npos;) {
    const std::size_t end = response.find("\n\n", at);
    const std::size_t line = response.find(kLine, behind);
    Event event{response.substr(at + 6, end - at - 6), ""};
    if (line < at) event.line = response.substr(line + kLine.size(), at - line - kLine.size() - 1);
    events.push_back(std::move(event));
    behind = at = end;
  }
  return events;
}

// What a client has after some events.
struct Shown {
  std::map<int, std::string> texts;
  std::map<int, std::string> finishes;
  std::map<int, int> roles;
  std::vector<std::string> logprobs;
  std::string usage;
  std::map<std::string, int> frames;  // id and created

  void take(const Event& event) {
    if (event.data == "[DONE]") return;
    const json::object chunk = json::parse(event.data).as_object();
    ++frames[json::serialize(chunk.at("id")) + json::serialize(chunk.at("created"))];
    if (chunk.contains("usage") && !chunk.at("usage").is_null()) {
      usage = json::serialize(chunk.at("usage"));
    }
    for (const json::value& one : chunk.at("choices").as_array()) {
      const json::object& choice = one.as_object();
      const int index = choice.at("index").to_number<int>();
      if (!choice.at("finish_reason").is_null()) {
        finishes[index] = json::serialize(choice.at("finish_reason"));
      }
      if (!choice.at("logprobs").is_null())
        logprobs.push_back(json::serialize(choice.at("logprobs")));
      if (choice.contains("text")) texts[index] += choice.at("text").as_string();
      if (!choice.contains("delta")) continue;
      const json::object& delta = choice.at("delta").as_object();
      if (delta.contains("role")) ++roles[index];
      if (delta.contains("content")) texts[index] += delta.at("content").as_string();
    }
  }
};

class Resume : public testing::Test {
 protected:
  Resume() {
    llama::BatcherOptions options;
    options.slots = 4;
    options.cached_prefixes = 4;
    engine_ = std::make_unique<TestEngine>(options);
  }

  static std::string with_field(const std::string& body, const std::string& resume) {
    return "{\"perigee_resume\":" + resume + "," + body.substr(1);
  }

  std::vector<Event> stream(const std::string& body) {
    response_ = engine_->post(path_, body,
                              "x-request-id: r\r\nperigee-seed: 77\r\nperigee-created: 1700\r\n");
    EXPECT_THAT(response_, StartsWith("HTTP/1.1 200"));
    return events_of(response_);
  }

  // Cuts a stream at every place where it may be cut and goes on from there: each time the client
  // must have what it would have had.
  void expect_same_after_every_cut(const std::string& body) {
    const std::vector<Event> whole = stream(body);
    Shown undisturbed;
    for (const Event& event : whole) undisturbed.take(event);
    Shown so_far;
    Delivered delivered;
    int cuts = 0;
    for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
      const auto field = api::parse_stream_field(whole[i].line);
      ASSERT_TRUE(field) << whole[i].line;
      so_far.take(whole[i]);
      if (field->tokens > 0) delivered.add(field->choice, field->token_ids);
      if (field->ends) delivered.finish(field->choice);
      if (field->more) continue;  // not here
      ++cuts;
      Shown together = so_far;
      for (const Event& event : stream(with_field(body, api::resume_json(delivered)))) {
        together.take(event);
      }
      EXPECT_THAT(response_, HasSubstr("perigee-resumed: " + std::to_string(delivered.tokens())));
      EXPECT_EQ(together.texts, undisturbed.texts) << "cut after event " << i;
      EXPECT_EQ(together.finishes, undisturbed.finishes);
      EXPECT_EQ(together.roles, undisturbed.roles);
      EXPECT_EQ(together.logprobs.size(), undisturbed.logprobs.size());
      EXPECT_EQ(together.usage, undisturbed.usage);
      EXPECT_EQ(together.frames.size(), 1U) << "id and created stay";
    }
    EXPECT_GT(cuts, 3);
  }

  std::string path_ = "/v1/chat/completions";
  std::string response_;
  std::unique_ptr<TestEngine> engine_;
};

std::string chat(const std::string& more) {
  return R"({"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":12,)"
         R"("messages":[{"role":"user","content":"What is an AI grid?"}])" +
         (more.empty() ? "" : "," + more) + "}";
}

TEST_F(Resume, OfAGreedyAnswer) { expect_same_after_every_cut(chat(R"("temperature":0)")); }

TEST_F(Resume, OfASampledAnswerWhoseSeedTheIngressGave) {
  expect_same_after_every_cut(chat(R"("temperature":0.9,"frequency_penalty":0.5)"));
}

TEST_F(Resume, OfSeveralChoices) {
  expect_same_after_every_cut(chat(R"("n":3,"temperature":0.8)"));
}

TEST_F(Resume, WithLogprobs) {
  expect_same_after_every_cut(chat(R"("n":2,"logprobs":true,"top_logprobs":2)"));
}

TEST_F(Resume, OfGuidedAnswers) {
  expect_same_after_every_cut(chat(R"("n":2,"response_format":{"type":"json_schema",
      "json_schema":{"name":"x","strict":true,"schema":{"type":"object","properties":{
      "ok":{"type":"boolean"},"name":{"type":"string","maxLength":9}},"required":["ok","name"],
      "additionalProperties":false}}})"));
}

TEST_F(Resume, WhileAStopStringIsHeldBack) {
  const std::vector<Event> whole = stream(chat(R"("temperature":0)"));
  Shown shown;
  for (const Event& event : whole) shown.take(event);
  const std::string text = shown.texts.at(0);
  ASSERT_GT(text.size(), 24U);
  // A stop string of several tokens, and one that begins like the text and does not come.
  const std::string stop = json::serialize(json::string(text.substr(text.size() / 2, 9)));
  const std::string near = json::serialize(json::string(text.substr(4, 7) + "\x01"));
  expect_same_after_every_cut(chat("\"temperature\":0,\"stop\":[" + stop + "," + near + "]"));
}

TEST_F(Resume, OfCompletionsWithTextOffsets) {
  path_ = "/v1/completions";
  const std::string body =
      R"({"model":"m","stream":true,"prompt":["The router","A site"],"n":2,"max_tokens":5,)"
      R"("logprobs":1,"temperature":0})";
  expect_same_after_every_cut(body);
  const std::string rest =
      engine_->post(path_, with_field(body, R"([{"ids":"300,301"}])"), "perigee-seed: 1\r\n");
  EXPECT_THAT(rest, Not(HasSubstr(R"("text_offset":[0,)")));
}

TEST_F(Resume, OfWhatWasWholeButForItsEnd) {
  Shown shown;
  for (const Event& event : stream(with_field(chat(""), R"([{"tokens":5,"end":true}])"))) {
    shown.take(event);
  }
  EXPECT_TRUE(shown.texts.empty());
  EXPECT_THAT(shown.usage, HasSubstr(R"("completion_tokens":5)"));
  EXPECT_THAT(response_, HasSubstr("data: [DONE]"));
}

TEST_F(Resume, RefusesTokensThatDoNotFit) {
  const auto post = [&](const std::string& body) { return engine_->post(path_, body, ""); };
  EXPECT_THAT(post(with_field(chat(""), R"([{"ids":"99999"}])")), HasSubstr("perigee_resume"));
  EXPECT_THAT(post(with_field(chat(""), R"([{},{"ids":"1"}])")), StartsWith("HTTP/1.1 400"));
  std::string many = "300";
  for (int i = 0; i < 12; ++i) many += ",300";
  EXPECT_THAT(post(with_field(chat(""), "[{\"ids\":\"" + many + "\"}]")),
              HasSubstr("more tokens to resume from"));
}

TEST_F(Resume, ByTheTextOfAnEngineThatToldNoTokens) {
  const std::string body = chat(R"("temperature":0)");
  const std::vector<Event> whole = stream(body);
  Shown undisturbed;
  for (const Event& event : whole) undisturbed.take(event);
  const std::string text = undisturbed.texts.at(0);
  Shown so_far;
  int cuts = 0;
  int same = 0;
  for (const Event& event : whole) {
    so_far.take(event);
    const std::string had = so_far.texts[0];
    if (had.empty() || had == text) continue;
    ++cuts;
    Delivered delivered;
    const std::string quoted = json::serialize(json::string(had));
    delivered.add_text(quoted.substr(1, quoted.size() - 2), 3);
    Shown rest;
    for (const Event& more : stream(with_field(body, api::resume_json(delivered)))) rest.take(more);
    EXPECT_THAT(response_, HasSubstr("perigee-resumed: "));
    EXPECT_EQ(rest.roles.count(0), 0U);
    EXPECT_EQ(rest.finishes.size(), 1U);
    if (had + rest.texts[0] == text) ++same;
  }
  EXPECT_GT(cuts, 3);
  EXPECT_GT(same, 0) << "where the text becomes the same tokens again, it goes on as it would";
}

TEST_F(Resume, RefusesATextThatStopStringsOrGrammarsReachInto) {
  const std::string text = R"({"text":"A","tokens":1})";
  for (const char* more :
       {R"("stop":["x"])", R"("n":2)", R"("response_format":{"type":"json_object"})"}) {
    EXPECT_THAT(engine_->post(path_, with_field(chat(more), text), ""), StartsWith("HTTP/1.1 412"))
        << more;
  }
  path_ = "/v1/completions";
  const std::string echo = R"({"model":"m","stream":true,"prompt":"A site","echo":true})";
  EXPECT_THAT(engine_->post(path_, with_field(echo, text), ""), StartsWith("HTTP/1.1 412"));
}

TEST_F(Resume, EndsATextThatIsAsLongAsWasAllowed) {
  const std::string text =
      R"({"text":"An AI grid is one grid of many sites, and more.","tokens":9})";
  const std::string body =
      R"({"model":"m","stream":true,"max_tokens":3,"messages":[{"role":"user","content":"Hi"}]})";
  Shown shown;
  for (const Event& event : stream(with_field(body, text))) shown.take(event);
  EXPECT_EQ(shown.texts[0], "");
  EXPECT_EQ(shown.finishes[0], "\"length\"");
}

}  // namespace
}  // namespace perigee::engine_server
