#include "engine/server/engine_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/load.h"
#include "engine/server/test_engine.h"

namespace perigee::engine_server {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

llama::BatcherOptions small() {
  llama::BatcherOptions options;
  options.slots = 2;
  options.cached_prefixes = 2;
  options.waiting_max = 2;
  return options;
}

std::string chat(std::string_view more) {
  std::string body = R"({"model":"m","temperature":0,)"
                     R"("messages":[{"role":"user","content":"What is an AI grid?"}])";
  if (!more.empty()) body.append(",").append(more);
  return body + "}";
}

// "logit_bias" that keeps an answer from ending by itself.
std::string endless() {
  std::string biases;
  for (llama::Token token = 0; token < demo_model().vocabulary_size(); ++token) {
    if (!demo_model().ends_generation(token)) continue;
    if (!biases.empty()) biases += ",";
    biases += "\"" + std::to_string(token) + "\":-100";
  }
  return "\"logit_bias\":{" + biases + "}";
}

TEST(EngineServer, AnswersAChat) {
  TestEngine engine{small()};
  const std::string response =
      engine.post("/v1/chat/completions", chat(""), "x-request-id: r-1\r\n");
  ASSERT_THAT(response, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(response, HasSubstr("perigee-load: slots=2,"));
  EXPECT_THAT(response, HasSubstr("perigee-usage: prompt="));
  const auto answer = boost::json::parse(body_of(response)).as_object();
  EXPECT_EQ(answer.at("id").as_string(), "chatcmpl-r-1");
  EXPECT_EQ(answer.at("object").as_string(), "chat.completion");
  const auto& choice = answer.at("choices").at(0).as_object();
  EXPECT_EQ(choice.at("message").at("role").as_string(), "assistant");
  EXPECT_EQ(choice.at("finish_reason").as_string(), "stop");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  const auto& usage = answer.at("usage").as_object();
  EXPECT_EQ(
      usage.at("total_tokens").to_number<int>(),
      usage.at("prompt_tokens").to_number<int>() + usage.at("completion_tokens").to_number<int>());
}

// The events of a stream: each "data:" payload, after the chunked framing is taken off.
std::vector<std::string> payloads(const std::string& response) {
  std::vector<std::string> found;
  for (std::size_t at = 0; (at = response.find("data: ", at)) != std::string::npos;) {
    const std::size_t end = response.find("\n\n", at);
    found.push_back(response.substr(at + 6, end - at - 6));
    at = end;
  }
  return found;
}

TEST(EngineServer, StreamsRoleTextFinishUsageAndDone) {
  TestEngine engine{small()};
  const std::string response =
      engine.post("/v1/chat/completions",
                  chat(R"("stream":true,"stream_options":{"include_usage":true},"max_tokens":5)"));
  ASSERT_THAT(response, HasSubstr("content-type: text/event-stream"));
  const auto events = payloads(response);
  ASSERT_GE(events.size(), 5U);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string text;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const auto chunk = boost::json::parse(events[i]).as_object();
    EXPECT_EQ(chunk.at("object").as_string(), "chat.completion.chunk");
    const bool last = i + 2 == events.size();
    EXPECT_EQ(chunk.at("usage").is_null(), !last);
    EXPECT_EQ(chunk.at("choices").as_array().empty(), last);
    if (last) continue;
    const auto& choice = chunk.at("choices").at(0).as_object();
    const auto& delta = choice.at("delta").as_object();
    EXPECT_EQ(delta.contains("role"), i == 0);
    if (delta.contains("content")) text += delta.at("content").as_string();
    EXPECT_EQ(choice.at("finish_reason").is_null(), i + 3 != events.size());
  }
  EXPECT_THAT(text, StartsWith("An AI grid"));
  EXPECT_THAT(response, HasSubstr("perigee: ids="));
  EXPECT_THAT(response, HasSubstr("perigee: usage=prompt="));
  EXPECT_THAT(response, HasSubstr(",completion=5 load=slots=2"));
}

TEST(EngineServer, WithoutIncludeUsageChunksCarryNone) {
  TestEngine engine{small()};
  const std::string response =
      engine.post("/v1/chat/completions", chat(R"("stream":true,"max_tokens":2)"));
  EXPECT_THAT(response, Not(HasSubstr("\"usage\"")));
}

TEST(EngineServer, ReusesPrefixesUnderEqualSaltsOnly) {
  TestEngine engine{small()};
  const auto cached = [&](std::string_view salt) {
    const std::string header =
        salt.empty() ? "" : "perigee-cache-salt: " + std::string{salt} + "\r\n";
    const std::string response =
        engine.post("/v1/chat/completions", chat(R"("max_tokens":1)"), header);
    const auto answer = boost::json::parse(body_of(response));
    return answer.at("usage").at("prompt_tokens_details").at("cached_tokens").to_number<int>();
  };
  EXPECT_EQ(cached("aa"), 0);
  EXPECT_GT(cached("aa"), 0);
  EXPECT_EQ(cached("bb"), 0);
  EXPECT_EQ(cached(""), 0);
  EXPECT_EQ(cached(""), 0);
}

TEST(EngineServer, AClientThatLeavesFreesItsSlot) {
  TestEngine engine{small()};
  {
    net::RawPeer peer = engine.connect();
    peer.send(TestEngine::request("POST", "/v1/chat/completions",
                                  chat(R"("stream":true,)" + endless()), ""));
    peer.read_until("perigee: ids=");
  }
  // The next requests need both slots; they would wait for a thousand tokens otherwise.
  const std::string response =
      engine.post("/v1/completions", R"({"model":"m","prompt":"A site","n":2,"max_tokens":2})");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200"));
}

TEST(EngineServer, CompletionsWithEchoAndLogprobs) {
  TestEngine engine{small()};
  const std::string echoed = engine.post(
      "/v1/completions", R"({"model":"m","prompt":"The router","echo":true,"max_tokens":1})");
  EXPECT_THAT(echoed, HasSubstr(R"("text":"The router)"));
  const auto answer = boost::json::parse(body_of(engine.post(
      "/v1/completions",
      R"({"model":"m","prompt":"The router","logprobs":2,"max_tokens":3,)" + endless() + "}")));
  const auto& logprobs = answer.at("choices").at(0).at("logprobs").as_object();
  for (const char* key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    EXPECT_EQ(logprobs.at(key).as_array().size(), 3U) << key;
  }
}

TEST(EngineServer, AnEchoWithoutAnswerIsThePromptAlone) {
  TestEngine engine{small()};
  for (const char* stream : {"", R"(,"stream":true)"}) {
    const std::string echoed = engine.post(
        "/v1/completions",
        std::string{R"({"model":"m","prompt":"The router","echo":true,"max_tokens":0)"} + stream +
            "}");
    EXPECT_THAT(echoed, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(echoed, HasSubstr(R"("text":"The router")"));
    EXPECT_THAT(echoed, HasSubstr(R"("finish_reason":"length")"));
    EXPECT_THAT(echoed, HasSubstr("completion=0"));
  }
}

TEST(EngineServer, MoreAnswersThanItEverTakesAreAFaultOfTheRequest) {
  TestEngine engine{small()};
  const std::string many =
      engine.post("/v1/completions", R"({"model":"m","prompt":["a","b"],"n":3,"max_tokens":1})");
  EXPECT_THAT(many, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(many, HasSubstr(R"("param":"prompt")"));
  EXPECT_THAT(many, HasSubstr("at most 4"));
  const std::string one = engine.post("/v1/chat/completions", chat(R"("n":5,"max_tokens":1)"));
  EXPECT_THAT(one, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(one, HasSubstr(R"("param":"n")"));
}

TEST(EngineServer, TextOffsetsCountCharactersAlsoAfterAResume) {
  TestEngine engine{small()};
  const std::string body = R"({"model":"m","prompt":"A","logprobs":0,"max_tokens":40,"grammar":
      "root ::= \"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9xyz\"")";
  const auto answer = boost::json::parse(body_of(engine.post("/v1/completions", body + "}")));
  const auto& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("text").as_string(), "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9xyz");
  const auto& offsets = choice.at("logprobs").at("text_offset").as_array();
  EXPECT_EQ(offsets.at(0).to_number<int>(), 0);
  EXPECT_LE(offsets.at(offsets.size() - 1).to_number<int>(), 8);  // of nine; in bytes 12 and more

  const auto shown = demo_model().tokenize("\u00e9\u00e9", false, false);
  const std::string ids = fmt::format("{}", fmt::join(shown, ","));
  const std::string rest = engine.post(
      "/v1/completions", body + R"(,"stream":true,"perigee_resume":[{"ids":")" + ids + "\"}]}");
  EXPECT_THAT(rest, HasSubstr(R"("text_offset":[2)"));
}

TEST(EngineServer, GuidedByAJsonSchema) {
  TestEngine engine{small()};
  const std::string response = engine.post("/v1/chat/completions", chat(R"("response_format":
      {"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"object",
      "properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}}})"));
  ASSERT_THAT(response, StartsWith("HTTP/1.1 200"));
  const auto answer = boost::json::parse(body_of(response));
  const std::string text{answer.at("choices").at(0).at("message").at("content").as_string()};
  EXPECT_TRUE(boost::json::parse(text).at("ok").is_bool()) << text;
}

TEST(EngineServer, EmbedsAsNumbersAndBase64) {
  TestEngine engine{small()};
  const auto numbers = boost::json::parse(
      body_of(engine.post("/v1/embeddings", R"({"model":"m","input":["a","b"]})")));
  EXPECT_EQ(numbers.at("data").as_array().size(), 2U);
  EXPECT_EQ(numbers.at("data").at(0).at("embedding").as_array().size(), 256U);
  const auto coded = boost::json::parse(body_of(
      engine.post("/v1/embeddings", R"({"model":"m","input":"a","encoding_format":"base64"})")));
  EXPECT_EQ(coded.at("data").at(0).at("embedding").as_string().size(), 1368U);  // 1024 bytes
}

TEST(EngineServer, ErrorsAreOpenAis) {
  TestEngine engine{small()};
  const std::string long_prompt = R"({"model":"m","prompt":")" + std::string(220'000, 'x') + "\"}";
  const std::string refused = engine.post("/v1/completions", long_prompt);
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(refused, HasSubstr("context_length_exceeded"));
  EXPECT_THAT(engine.post("/v1/chat/completions", "{"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(engine.post("/v1/chat/completions", R"({"model":"other","messages":[]})"),
              HasSubstr("model_not_found"));
  EXPECT_THAT(engine.post("/v1/nothing", "{}"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(engine.post("/v1/chat/completions", chat(""), "perigee-deadline-ms: 0\r\n"),
              StartsWith("HTTP/1.1 504"));
  EXPECT_THAT(engine.post("/v1/chat/completions", chat(""), "perigee-class: urgent\r\n"),
              HasSubstr("perigee-class"));
  net::RawPeer busy = engine.connect();
  busy.send(TestEngine::request("POST", "/v1/chat/completions",
                                chat(R"("n":4,"stream":true,)" + endless()), ""));
  busy.read_until("perigee: ids=");
  EXPECT_THAT(engine.post("/v1/chat/completions", chat("")), StartsWith("HTTP/1.1 429"));
}

TEST(EngineServer, TellsModelsHealthAndLoad) {
  TestEngine engine{small()};
  EXPECT_THAT(engine.get("/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(engine.get("/v1/models"), HasSubstr(R"("id":"m")"));
  EXPECT_THAT(engine.get("/v1/models/m"), HasSubstr(R"("context_length":1024)"));
  EXPECT_THAT(engine.get("/v1/models/x"), StartsWith("HTTP/1.1 404"));
  const auto load = api::parse_load(body_of(engine.get("/load")));
  ASSERT_TRUE(load);
  EXPECT_EQ(load->slots, 2U);
  EXPECT_GT(load->decode_ms, 0);
  EXPECT_THAT(engine.get("/metrics"), HasSubstr("perigee_engine_slots 2"));
}

TEST(EngineServer, TellsNoLoadWhenItsComputationStandsStill) {
  TestEngine engine{small()};
  const auto ask_for = [&](Duration time) {  // the status line of the last answer
    std::string last;
    for (Duration asked{}; asked < time; asked += kLookMax) {
      engine.server_clock().advance(kLookMax);
      last = engine.get("/load");
    }
    return last;
  };
  EXPECT_THAT(ask_for(2 * kStepMax), StartsWith("HTTP/1.1 200"));  // idle
  engine.hold();
  net::RawPeer peer = engine.connect();
  peer.send(TestEngine::request("POST", "/v1/chat/completions",
                                chat(R"("stream":true,)" + endless()), ""));
  engine.wait_until_it_stands();
  EXPECT_THAT(ask_for(kStepMax / 2), StartsWith("HTTP/1.1 200"));
  engine.server_clock().advance(10 * kStepMax);  // as if all of the process had been stopped
  EXPECT_THAT(engine.get("/load"), StartsWith("HTTP/1.1 200"));
  const std::string stuck = ask_for(kStepMax);
  EXPECT_THAT(stuck, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(stuck, HasSubstr("stands still"));
  engine.let_go_on();
  peer.read_until("perigee: ids=");  // of the step that was held
  peer.read_until("perigee: ids=");
  EXPECT_THAT(engine.get("/load"), StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace perigee::engine_server
