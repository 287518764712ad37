#include "engine/server/openai_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/server/test_engine.h"

namespace perigee::engine_server {
namespace {

using testing::HasSubstr;

ServedModel served() { return {demo_model(), "m", 1024}; }

// A chat body with more members: R"("temperature":1)".
std::string chat(std::string_view more = "") {
  std::string body = R"({"model":"m","messages":[{"role":"user","content":"hi"}])";
  if (!more.empty()) body.append(",").append(more);
  return body + "}";
}

Error refusal(const std::string& body) {
  const auto parsed = parse_chat(served(), body);
  if (parsed) return Error{Code::Internal, "accepted", "accepted"};
  return parsed.error();
}

TEST(OpenAiRequest, ReadsWhatAClientSends) {
  const auto parsed = parse_chat(served(), chat(R"("temperature":0.5,"top_p":0.9,"top_k":40,
      "min_p":0.1,"seed":-3,"n":2,"stop":["a","b"],"stream":true,"max_completion_tokens":7,
      "stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":4,
      "frequency_penalty":-1,"presence_penalty":2,"repetition_penalty":1.1,
      "logit_bias":{"5":-100},"user":"u","unknown":{"x":[1]},"metadata":null)"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->stream);
  EXPECT_TRUE(parsed->include_usage);
  const llama::GenerationRequest& one = parsed->generations.at(0);
  EXPECT_EQ(one.choices, 2U);
  EXPECT_EQ(one.tokens_max, 7U);
  EXPECT_EQ(one.top_logprobs, 4U);
  EXPECT_THAT(one.stop, testing::ElementsAre("a", "b"));
  EXPECT_EQ(one.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(one.sampling.top_k, 40U);
  EXPECT_EQ(one.sampling.logit_bias.size(), 1U);
  EXPECT_FALSE(one.prompt.empty());
}

TEST(OpenAiRequest, NamesTheFieldAtFault) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {chat(R"("temperature":2.1)"), "temperature"},
      {chat(R"("temperature":"hot")"), "temperature"},
      {chat(R"("top_p":-0.1)"), "top_p"},
      {chat(R"("n":0)"), "n"},
      {chat(R"("n":1.5)"), "n"},
      {chat(R"("max_tokens":0)"), "max_tokens"},
      {chat(R"("stop":[""])"), "stop"},
      {chat(R"("stop":5)"), "stop"},
      {chat(R"("stream":"yes")"), "stream"},
      {chat(R"("stream_options":{"include_usage":true})"), "stream_options"},
      {chat(R"("stream":true,"stream_options":{"include_usage":1})"),
       "stream_options.include_usage"},
      {chat(R"("top_logprobs":2)"), "top_logprobs"},
      {chat(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs"},
      {chat(R"("logit_bias":{"x":1})"), "logit_bias"},
      {chat(R"("logit_bias":{"999999":1})"), "logit_bias"},
      {chat(R"("logit_bias":{"5":101})"), "logit_bias"},
      {chat(R"("tools":[{"type":"function"}])"), "tools"},
      {chat(R"("functions":[{"name":"f"}])"), "functions"},
      {chat(R"("functions":{})"), "functions"},
      {chat(R"("tool_choice":"always")"), "tool_choice"},
      {chat(R"("tool_choice":5)"), "tool_choice"},
      {chat(R"("tool_choice":"required")"), "tool_choice"},
      {chat(R"("tools":[],"tool_choice":{"type":"function"})"), "tool_choice"},
      {chat(R"("tools":[{}],"tool_choice":"required")"), "tools"},
      {chat(R"("modalities":["audio"])"), "modalities"},
      {chat(R"("response_format":{"type":"xml"})"), "response_format.type"},
      {chat(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema.schema"},
      {R"({"model":"m"})", "messages"},
      {R"({"model":"m","messages":[]})", "messages"},
      {R"({"model":"m","messages":"hi"})", "messages"},
      {R"({"model":"m","messages":[5]})", "messages[0]"},
      {R"({"model":"m","messages":[{"role":"king","content":"a"}]})", "messages[0].role"},
      {R"({"model":"m","messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0].content[0].type"},
      {R"({"model":"m","messages":[{"role":"tool","content":"a"}]})", "messages[0].role"}};
  for (const auto& [body, param] : cases) {
    const Error error = refusal(body);
    EXPECT_EQ(error.code, Code::InvalidArgument) << body;
    EXPECT_EQ(error.param, param) << body;
  }
}

TEST(OpenAiRequest, RefusesWhatIsNoJsonObject) {
  for (const char* body : {"", "{", "[]", "5", "{\"a\":}", "\xff"}) {
    EXPECT_EQ(refusal(body).code, Code::InvalidArgument) << body;
  }
  EXPECT_EQ(refusal(std::string(100000, '[')).code, Code::InvalidArgument);
}

TEST(OpenAiRequest, AnotherModelIsNotFound) {
  const Error error = refusal(R"({"model":"x","messages":[{"role":"user","content":"a"}]})");
  EXPECT_EQ(error.code, Code::NotFound);
  EXPECT_EQ(error.param, "model");
}

TEST(OpenAiRequest, ToolsThatMayNotBeCalledAreFine) {
  EXPECT_TRUE(parse_chat(served(), chat(R"("tools":[{}],"tool_choice":"none")")));
  EXPECT_TRUE(parse_chat(served(), chat(R"("tools":[],"functions":[],"tool_choice":"auto")")));
  const auto answered_with = [](const std::string& calls) {
    return parse_chat(served(), R"({"model":"m","messages":[{"role":"assistant","content":"a",)"
                                R"("tool_calls":)" +
                                    calls + R"(},{"role":"user","content":"b"}]})");
  };
  EXPECT_TRUE(answered_with("[]"));  // as some servers answer, and clients send it back
  EXPECT_TRUE(answered_with("null"));
  EXPECT_EQ(answered_with("[{}]").error().param, "messages[0].tool_calls");
}

TEST(OpenAiRequest, CompletionsMayBeGuidedAndOfNoTokens) {
  const auto parsed = parse_completion(served(), R"({"model":"m","prompt":"a","max_tokens":0,
      "response_format":{"type":"json_object"}})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->generations.at(0).tokens_max, 0U);
  EXPECT_EQ(parsed->generations.at(0).grammar_param, "response_format");
  EXPECT_FALSE(parsed->generations.at(0).grammar.empty());
}

TEST(OpenAiRequest, TextPartsAreJoined) {
  const auto parts = parse_chat(served(), R"({"model":"m","messages":[{"role":"user","content":
      [{"type":"text","text":"h"},{"type":"text","text":"i"}]}]})");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->generations[0].prompt, parse_chat(served(), chat())->generations[0].prompt);
}

TEST(OpenAiRequest, AHugePromptIsRefusedUncounted) {
  const std::string body = R"({"model":"m","messages":[{"role":"user","content":")" +
                           std::string(220'000, 'x') + "\"}]}";
  const Error error = refusal(body);
  EXPECT_EQ(error.code, Code::PayloadTooLarge);
  EXPECT_EQ(error.param, "messages");
}

TEST(OpenAiRequest, PromptsMayBeTextOrTokensAloneOrInLists) {
  const auto count = [](const std::string& prompt) -> std::size_t {
    const auto parsed = parse_completion(served(), R"({"model":"m","prompt":)" + prompt + "}");
    return parsed ? parsed->generations.size() : 0;
  };
  EXPECT_EQ(count(R"("a")"), 1U);
  EXPECT_EQ(count(R"(["a","b"])"), 2U);
  EXPECT_EQ(count("[5,6,7]"), 1U);
  EXPECT_EQ(count("[[5],[6,7]]"), 2U);
  EXPECT_EQ(count("[]"), 0U);
  EXPECT_EQ(count("[-1]"), 0U);
  EXPECT_EQ(count(R"("")"), 0U);
  EXPECT_EQ(count("null"), 0U);
}

TEST(OpenAiRequest, CompletionsRefuseWhatTheyCannotDo) {
  const auto param = [](const std::string& more) {
    const auto parsed = parse_completion(served(), R"({"model":"m","prompt":"a",)" + more + "}");
    return parsed ? std::string{"accepted"} : parsed.error().param;
  };
  EXPECT_EQ(param(R"("suffix":"x")"), "suffix");
  EXPECT_EQ(param(R"("best_of":3)"), "best_of");
  EXPECT_EQ(param(R"("max_tokens":-1)"), "max_tokens");
  EXPECT_EQ(param(R"("response_format":{"type":"xml"})"), "response_format.type");
  EXPECT_EQ(param(R"("echo":true,"logprobs":1)"), "logprobs");
  EXPECT_EQ(param(R"("best_of":1,"suffix":null)"), "accepted");
}

TEST(OpenAiRequest, EmbeddingsReadInputAndEncoding) {
  const auto parsed =
      parse_embeddings(served(), R"({"model":"m","input":["a","b"],"encoding_format":"base64"})");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->base64);
  EXPECT_EQ(parsed->embedding.inputs.size(), 2U);
  EXPECT_EQ(parse_embeddings(served(), R"({"model":"m","input":"a","dimensions":7})").error().param,
            "dimensions");
  EXPECT_EQ(parse_embeddings(served(), R"({"model":"m"})").error().param, "input");
}

TEST(OpenAiRequest, WhatToResumeFromGoesToItsGeneration) {
  const auto parsed = parse_completion(served(), R"({"model":"m","prompt":["a","b"],"n":2,
                   "perigee_resume":[{"ids":"1,22,333"},{"tokens":4,"end":true},{"ids":"7"}]})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto& first = parsed->generations.at(0).resume;
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].tokens, (std::vector<llama::Token>{1, 22, 333}));
  EXPECT_TRUE(first[1].finished);
  EXPECT_EQ(first[1].finished_tokens, 4U);
  EXPECT_EQ(parsed->generations.at(1).resume.at(0).tokens, std::vector<llama::Token>{7});
}

TEST(OpenAiRequest, RefusesWhatCanNotBeResumed) {
  for (const char* bad :
       {R"({})", R"([1])", R"([{"ids":"1,"}])", R"([{"ids":"99999"}])", R"([{},{"ids":"1"}])"}) {
    const auto parsed = parse_completion(
        served(), std::string{R"({"model":"m","prompt":"a","perigee_resume":)"} + bad + "}");
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().param, "perigee_resume");
  }
}

}  // namespace
}  // namespace perigee::engine_server
