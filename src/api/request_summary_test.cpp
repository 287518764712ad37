#include "api/request_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace perigee::api {
namespace {

// A body in memory whose 64 bytes past the end would mislead a reader that used them.
Result<RequestSummary> read(const std::string& body, Operation operation = Operation::Chat,
                            std::string_view salt = "salt", const SummaryLimits& limits = {}) {
  std::string padded = body + R"(,"model":"other"}}]"]}                                          )";
  padded.resize(body.size() + 64, ' ');
  return summarize(operation, std::string_view{padded}.substr(0, body.size()), salt, limits);
}

std::string chat(const std::string& more) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}])" + more + "}";
}

std::string refused(const std::string& body, Operation operation = Operation::Chat) {
  const auto summary = read(body, operation);
  if (summary) return "accepted";
  EXPECT_EQ(summary.error().code, Code::InvalidArgument);
  return summary.error().param;
}

TEST(RequestSummary, ReadsWhatRoutingNeeds) {
  const std::string body =
      R"({ "stream" : true , "model" :  "org/m-7B:q8"  ,"n":2,
          "stream_options": { "include_usage" : true , "x":[1,{}] } ,"max_tokens":9,
          "max_completion_tokens": 7, "service_tier":"priority","prompt_cache_key":"s1",
          "temperature":0.5,
          "messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]} )";
  const auto summary = read(body);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->model, ModelId{"org/m-7B:q8"});
  EXPECT_TRUE(summary->stream);
  EXPECT_TRUE(summary->include_usage);
  EXPECT_EQ(summary->n, 2u);
  EXPECT_EQ(summary->output_tokens_max, 7u);
  EXPECT_EQ(summary->service_class, ServiceClass::Realtime);
  EXPECT_EQ(summary->session, "s1");
  EXPECT_EQ(body.substr(summary->model_span.offset, summary->model_span.size), R"("org/m-7B:q8")");
  EXPECT_EQ(body.substr(summary->stream_options_span.offset, summary->stream_options_span.size),
            R"({ "include_usage" : true , "x":[1,{}] })");
  EXPECT_EQ(summary->prompt_tokens, 8u + 5u);  // 20 bytes of text, two messages
}

TEST(RequestSummary, FindsWhatAnEngineMustBeAbleToDo) {
  const auto needs = [](const std::string& more) {
    const auto summary = read(chat(more));
    EXPECT_TRUE(summary) << more;
    return summary ? summary->needs : kEverything;
  };
  EXPECT_EQ(needs(""), 0);
  EXPECT_EQ(needs(R"(,"tools":[],"response_format":{"type":"text"},"grammar":null)"), 0);
  EXPECT_EQ(needs(R"(,"tools":[{"type":"function"}])"), kTools);
  EXPECT_EQ(needs(R"(,"tools":[{"type":"function"}],"tool_choice":"none")"), 0);
  EXPECT_EQ(needs(R"(,"response_format":{"type":"json_schema","json_schema":{}})"), kGuidedOutput);
  EXPECT_EQ(needs(R"(,"guided_regex":"a+")"), kGuidedOutput);
  const auto image = read(R"({"model":"m","messages":[{"role":"user",)"
                          R"("content":[{"type":"image_url","image_url":{}}]}]})");
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->needs, kVision);
  const auto embedding = read(R"({"model":"m","input":"x"})", Operation::Embedding);
  ASSERT_TRUE(embedding) << embedding.error().message;
  EXPECT_EQ(embedding->needs, kEmbeddings);
}

TEST(RequestSummary, HasDefaultsForWhatIsAbsentOrNull) {
  for (const char* more :
       {"", R"(,"stream":null,"stream_options":null,"n":null,)"
            R"("max_tokens":null,"service_tier":null,"prompt_cache_key":null)"}) {
    const auto summary = read(chat(more));
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_FALSE(summary->stream);
    EXPECT_FALSE(summary->include_usage);
    EXPECT_EQ(summary->n, 1u);
    EXPECT_FALSE(summary->output_tokens_max);
    EXPECT_FALSE(summary->service_class);
    EXPECT_EQ(summary->session, "");
  }
  EXPECT_EQ(read(chat(""))->stream_options_span.size, 0u);
}

TEST(RequestSummary, CountsTheAnswersThatEachPromptIsGiven) {
  const auto choices = [](const std::string& body, Operation operation) {
    const auto summary = read(body, operation);
    EXPECT_TRUE(summary) << body;
    return summary ? summary->choices : 0;
  };
  const auto completion = [&](const std::string& more) {
    return choices(R"({"model":"m",)" + more + "}", Operation::Completion);
  };
  EXPECT_EQ(choices(chat(R"(,"n":3)"), Operation::Chat), 3u);
  EXPECT_EQ(completion(R"("prompt":"a")"), 1u);
  EXPECT_EQ(completion(R"("n":2,"prompt":["a","b","c"])"), 6u);
  EXPECT_EQ(completion(R"("prompt":[1,2,3])"), 1u);
  EXPECT_EQ(completion(R"("prompt":[[1,2],[3]],"n":5)"), 10u);
  EXPECT_EQ(choices(R"({"model":"m","input":["a","b"]})", Operation::Embedding), 1u);
}

TEST(RequestSummary, ReadsContentInParts) {
  const auto summary = read(
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what is this"},
      {"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
      std::string(100000, 'A') +
      R"("}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]},
      {"role":"tool","tool_call_id":"c","content":"42"}]})");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_GE(summary->prompt_tokens, kImageTokensMax);
  EXPECT_LE(summary->prompt_tokens, kImageTokensMax + 40);
}

TEST(RequestSummary, ReadsEveryFormOfPrompt) {
  for (const char* prompt : {R"("text")", R"(["a","b"])", "[1,2,3]", "[[1,2],[3]]"}) {
    EXPECT_TRUE(
        read(std::string{R"({"model":"m","prompt":)"} + prompt + "}", Operation::Completion))
        << prompt;
    EXPECT_TRUE(read(std::string{R"({"model":"m","input":)"} + prompt + "}", Operation::Embedding))
        << prompt;
  }
  EXPECT_EQ(read(R"({"model":"m","prompt":[[1,2],[3]]})", Operation::Completion)->prompt_tokens,
            3u);
  EXPECT_EQ(read(R"({"model":"m","input":"12345678"})", Operation::Embedding)->prompt_tokens, 2u);
}

TEST(RequestSummary, NamesTheFieldAtFaultAsOpenAIDoes) {
  EXPECT_EQ(refused(R"({"messages":[{"role":"user","content":"a"}]})"), "model");
  EXPECT_EQ(refused(R"({"model":"m"})"), "messages");
  EXPECT_EQ(refused(R"({"model":7,"messages":[]})"), "model");
  EXPECT_EQ(refused(R"({"model":"a b","messages":[]})"), "model");
  EXPECT_EQ(refused(R"({"model":"a\u0000","messages":[]})"), "model");
  EXPECT_EQ(refused(R"({"model":"m","messages":[]})"), "messages");
  EXPECT_EQ(refused(R"({"model":"m","messages":"hi"})"), "messages");
  EXPECT_EQ(refused(R"({"model":"m","messages":["hi"]})"), "messages[0]");
  EXPECT_EQ(refused(R"({"model":"m","messages":[{"content":"a"}]})"), "messages[0].role");
  EXPECT_EQ(refused(R"({"model":"m","messages":[{"role":1}]})"), "messages[0].role");
  EXPECT_EQ(refused(R"({"model":"m","messages":[{"role":"user","content":4}]})"),
            "messages[0].content");
  EXPECT_EQ(
      refused(R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":4}]}]})"),
      "messages[0].content[0].text");
  EXPECT_EQ(refused(R"({"model":"m","messages":[{"role":"user","content":[{"text":"a"}]}]})"),
            "messages[0].content[0].type");
  EXPECT_EQ(refused(chat(R"(,"stream":"yes")")), "stream");
  EXPECT_EQ(refused(chat(R"(,"stream_options":{"include_usage":true})")), "stream_options");
  EXPECT_EQ(refused(chat(R"(,"stream":true,"stream_options":{"include_usage":1})")),
            "stream_options.include_usage");
  EXPECT_EQ(refused(chat(R"(,"service_tier":"gold")")), "service_tier");
  EXPECT_EQ(refused(chat(R"(,"prompt_cache_key":"a\u0000b")")), "prompt_cache_key");
  EXPECT_EQ(refused(R"({"model":"m","prompt":[1,"a"]})", Operation::Completion), "prompt[1]");
  EXPECT_EQ(refused(R"({"model":"m","input":[[1],[-2]]})", Operation::Embedding), "input[1][0]");
  EXPECT_EQ(refused(R"({"model":"m","input":[]})", Operation::Embedding), "input");
  EXPECT_EQ(refused(R"({"model":"m","input":"a","stream":true})", Operation::Embedding), "stream");
}

TEST(RequestSummary, RefusesNumbersOutOfRange) {
  for (const char* n :
       {"0", "-1", "129", "1.5", "1.0", "1e2", "99999999999999999999999", "\"1\"", "01"}) {
    EXPECT_EQ(refused(chat(std::string{R"(,"n":)"} + n)), "n") << n;
  }
  for (const char* field : {"max_tokens", "max_completion_tokens"}) {
    EXPECT_EQ(refused(chat(",\"" + std::string{field} + "\":0")), field);
    EXPECT_EQ(refused(chat(",\"" + std::string{field} + "\":4294967296")), field);
  }
  EXPECT_EQ(read(R"({"model":"m","prompt":"a","max_tokens":0})", Operation::Completion)
                ->output_tokens_max,
            0u);
}

TEST(RequestSummary, RefusesAFieldGivenTwice) {
  EXPECT_EQ(refused(chat(R"(,"model":"m")")), "model");
  EXPECT_EQ(refused(chat(R"(,"mod\u0065l":"m2")")), "model");
  EXPECT_EQ(refused(chat(R"(,"stream":true,"stream":false)")), "stream");
  EXPECT_EQ(refused(chat(R"(,"messages":[{"role":"user","content":"b"}])")), "messages");
  EXPECT_EQ(refused(R"({"model":"m","messages":[{"role":"user","content":"a","content":"b"}]})"),
            "messages[0].content");
}

TEST(RequestSummary, RefusesWhatIsNotOneJsonObject) {
  for (const char* body : {"",
                           " ",
                           "null",
                           "[]",
                           "\"a\"",
                           "12",
                           "{",
                           "}",
                           "{}{}",
                           "{\"a\"}",
                           "{\"a\":1,}",
                           "{,}",
                           "\xEF\xBB\xBF{}",
                           "{\"a\":nulx}",
                           "{\"a\":truee}",
                           "{\"a\":[1,]}",
                           "{\"a\":{]}",
                           "{\"a\":1 \"b\":2}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":'b'}",
                           "{\"a\":+1}",
                           "{\"a\":NaN}"}) {
    EXPECT_EQ(refused(body), "") << body;
  }
  for (const char* more :
       {R"(,"x":"\ud800")", R"(,"x":[1 2])", R"(,"x":{"a":1]})", R"(,"x":1e999)", R"(,"x":-)"}) {
    EXPECT_EQ(refused(chat(more)), "") << more;
  }
  EXPECT_EQ(refused("\xEF\xBB\xBF" + chat("")), "");  // whatever the library does with it
  EXPECT_EQ(refused(chat("") + "x"), "");
  EXPECT_EQ(refused(chat(",\"x\":\"\xFF\"")), "");
  EXPECT_EQ(refused(chat(std::string{",\"x\":\"a\0b\"", 11})), "");
}

TEST(RequestSummary, RefusesDepthBombs) {
  for (const char open : {'[', '{'}) {
    std::string bomb = R"({"model":"m","x":)";
    for (int i = 0; i < 100000; ++i) bomb += open == '[' ? "[" : R"({"a":)";
    EXPECT_EQ(refused(bomb + "}"), "");
  }
  const auto nested = [](int depth) {
    return chat(",\"x\":" + std::string(static_cast<std::size_t>(depth), '[') +
                std::string(static_cast<std::size_t>(depth), ']'));
  };
  EXPECT_TRUE(read(nested(63)));
  EXPECT_EQ(refused(nested(64)), "");
}

TEST(RequestSummary, RefusesMoreMessagesThanTheLimit) {
  SummaryLimits limits;
  limits.messages_max = 2;
  const std::string message = R"({"role":"user","content":"a"})";
  const std::string two = message + "," + message;
  EXPECT_TRUE(read(R"({"model":"m","messages":[)" + two + "]}", Operation::Chat, "", limits));
  const auto three = read(R"({"model":"m","messages":[)" + two + "," + message + "]}",
                          Operation::Chat, "", limits);
  ASSERT_FALSE(three);
  EXPECT_EQ(three.error().param, "messages");
}

TEST(RequestSummary, SharesPrefixHashesOnlyForEqualPrefixesOfOneTenant) {
  const auto blocks = [](const std::string& text, std::string_view salt) {
    return read(R"({"model":"m","messages":[{"role":"user","content":")" + text + R"("}]})",
                Operation::Chat, salt)
        ->prefix_blocks;
  };
  const std::string shared(1000, 'a');
  const auto first = blocks(shared + std::string(600, 'b'), "one");
  const auto second = blocks(shared + std::string(600, 'c'), "one");
  const auto other = blocks(shared + std::string(600, 'b'), "two");
  ASSERT_EQ(first.size(), 6u);  // (4 + 1 + 1600 + 1) / 256
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 3, second.begin()));
  EXPECT_NE(first[3], second[3]);
  EXPECT_NE(first[5], second[5]);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NE(first[i], other[i]);
}

TEST(RequestSummary, CutsBlocksAlikeHoweverTheTextIsEscaped) {
  const std::string plain(700, 'a');
  std::string escaped;
  for (int i = 0; i < 700; ++i) escaped += "\\u0061";
  const auto one = read(R"({"model":"m","prompt":")" + plain + "\"}", Operation::Completion);
  const auto two = read(R"({"model":"m","prompt":")" + escaped + "\"}", Operation::Completion);
  EXPECT_EQ(one->prefix_blocks, two->prefix_blocks);
  EXPECT_EQ(one->prefix_blocks.size(), 2u);
}

TEST(RequestSummary, BoundsThePrefixHashesOfALongPrompt) {
  const auto summary = read(R"({"model":"m","prompt":")" + std::string(220 * 1024, 'x') + "\"}",
                            Operation::Completion);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->prefix_blocks.size(), SummaryLimits{}.prefix_blocks_max);
  EXPECT_EQ(summary->prompt_tokens, 220u * 1024 / 4);
}

// The number of times `key` stands as a top-level key, judged without a JSON parser: bodies below
// have it nowhere else.
std::size_t occurrences(const std::string& body, std::string_view key) {
  std::size_t count = 0;
  for (auto at = body.find(key); at != std::string::npos; at = body.find(key, at + 1)) ++count;
  return count;
}

TEST(RequestSummary, SurvivesRandomDamageAndNeverAcceptsTwoModels) {
  const std::string seeds[] = {
      chat(R"(,"stream":true,)"
           R"("stream_options":{"include_usage":true},"x":{"y":[1,2.5,null,"\u00e9"]})"),
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"text",)"
      R"("text":"a"},{"type":"image_url",)"
      R"("image_url":{"url":"u"}}]}],"tools":[{"type":"function"}],"n":3})",
      R"({"messages":[{"role":"assistant","content":null,)"
      R"("tool_calls":[{"id":"1","function":{"arguments":"{}"}}]}],"model":"m"})"};
  constexpr std::string_view kBytes = "{}[]\",:\\u0019eE+-.tfn \x80\xFF\x01m";
  Random random{20260901};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random.below(n)); };
  std::size_t accepted = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string body = seeds[below(3)];
    for (std::size_t edits = 1 + below(4); edits > 0 && !body.empty(); --edits) {
      const std::size_t at = below(body.size());
      const std::size_t size = 1 + below(12);
      switch (below(5)) {
        case 0: body[at] = kBytes[below(kBytes.size())]; break;
        case 1: body.erase(at, size); break;
        case 2: body.insert(at, body.substr(below(body.size()), size)); break;
        case 3: body.insert(at, R"("model":"m2",)"); break;
        default: body.resize(at); break;
      }
    }
    const auto summary = read(body, static_cast<Operation>(below(3)));
    if (!summary) continue;
    ++accepted;
    ASSERT_LE(summary->model_span.offset + summary->model_span.size, body.size());
    ASSERT_EQ(body.substr(summary->model_span.offset, summary->model_span.size),
              '"' + summary->model.str() + '"');
    // Top level is everything outside the deeper braces; a second key there must be refused.
    int depth = 0;
    std::string top;
    bool text = false;
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] == '\\' && text) {
        if (depth == 1) top += body.substr(i, 2);
        ++i;
        continue;
      }
      if (body[i] == '"') text = !text;
      if (!text && (body[i] == '{' || body[i] == '[')) ++depth;
      if (depth == 1) top += body[i];
      if (!text && (body[i] == '}' || body[i] == ']')) --depth;
    }
    ASSERT_EQ(occurrences(top, R"("model":)"), 1u) << body;
  }
  EXPECT_GT(accepted, 500u);
}

}  // namespace
}  // namespace perigee::api
