#include "engine/llama/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "engine/llama/json_schema_grammar.h"
#include "engine/llama/test_batcher.h"

namespace perigee::llama {
namespace {

using testing::HasSubstr;

constexpr const char* kQuestion = "What is an AI grid?";

BatcherOptions small() {
  BatcherOptions options;
  options.slots = 4;
  options.cached_prefixes = 4;
  return options;
}

std::vector<Token> joined(std::vector<Token> a, const std::vector<Token>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// An answer that goes on until it is cancelled or the context is full.
GenerationRequest endless(const std::string& question) {
  GenerationRequest request = ask(question, 900);
  request.sampling.logit_bias = {{demo_model().tokenize("<|im_end|>", false, true).at(0), -100.0F}};
  return request;
}

TEST(Batcher, AnswersAQuestionOfTheDemoModel) {
  TestBatcher batcher{small()};
  const Outcome outcome = batcher.run(ask(kQuestion));
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  EXPECT_THAT(outcome.text(), HasSubstr("AI grid"));
  EXPECT_EQ(outcome.finishes.at(0), FinishReason::Stop);
  EXPECT_EQ(outcome.usage->completion_tokens, outcome.tokens.at(0).size());
  EXPECT_EQ(outcome.usage->prompt_tokens, ask(kQuestion).prompt.size());
  EXPECT_EQ(outcome.usage->cached_tokens, 0);
}

TEST(Batcher, StopsAtTheTokenLimitAndSaysSo) {
  TestBatcher batcher{small()};
  const Outcome outcome = batcher.run(ask(kQuestion, 3));
  EXPECT_EQ(outcome.tokens.at(0).size(), 3U);
  EXPECT_EQ(outcome.finishes.at(0), FinishReason::Length);
}

TEST(Batcher, NeverShowsAStopStringOrWhatFollows) {
  TestBatcher batcher{small()};
  GenerationRequest request = ask(kQuestion);
  request.stop = {"turns many"};
  const Outcome outcome = batcher.run(std::move(request));
  EXPECT_EQ(outcome.text(), "An AI grid is software that ");
  EXPECT_EQ(outcome.finishes.at(0), FinishReason::Stop);
}

TEST(Batcher, ReusesAPrefixUnderTheSameSaltOnly) {
  TestBatcher batcher{small()};
  const auto with_salt = [](const std::string& salt) {
    GenerationRequest request = ask("Explain the KV cache to me.", 4);
    request.cache_salt = salt;
    return request;
  };
  const auto size = static_cast<std::uint32_t>(with_salt("a").prompt.size());
  const Outcome first = batcher.run(with_salt("a"));
  EXPECT_EQ(first.usage->cached_tokens, 0U);
  const Outcome again = batcher.run(with_salt("a"));
  EXPECT_EQ(again.usage->cached_tokens, size - 1);
  EXPECT_EQ(again.text(), first.text());
  EXPECT_EQ(batcher.run(with_salt("b")).usage->cached_tokens, 0U);
  EXPECT_EQ(batcher.run(with_salt("")).usage->cached_tokens, 0U);
  EXPECT_EQ(batcher.run(with_salt("")).usage->cached_tokens, 0U);
}

TEST(Batcher, ReusesAPrefixOfARunningStreamByCopy) {
  TestBatcher batcher{small()};
  GenerationRequest running;
  running.prompt = prompt_of(100);
  running.sampling.temperature = 1;
  running.tokens_max = 800;
  running.cache_salt = "a";
  const GenerationId first = batcher.submit(running);
  batcher.wait_until(first, [](const Outcome& o) { return !o.tokens.empty(); });
  GenerationRequest second = running;
  second.prompt = joined(prompt_of(60), prompt_of(20, 1));
  second.tokens_max = 2;
  const Outcome outcome = batcher.run(second);
  EXPECT_EQ(outcome.usage->cached_tokens, 60U);
  batcher.cancel(first);
}

TEST(Batcher, ServesManyMoreRequestsThanSlots) {
  TestBatcher batcher{small()};
  std::vector<GenerationId> ids;
  for (int i = 0; i < 24; ++i) ids.push_back(batcher.submit(ask(kQuestion, 8)));
  for (const GenerationId id : ids) {
    const Outcome outcome = batcher.wait(id);
    ASSERT_FALSE(outcome.error);
    EXPECT_EQ(outcome.tokens.at(0).size(), 8U);
  }
}

TEST(Batcher, TheSameSeedGivesTheSameTextAloneAndInABatch) {
  BatcherOptions options;
  options.slots = 8;
  TestBatcher batcher{options};
  const auto request = [](std::uint64_t seed) {
    GenerationRequest made = ask("Tell me a story about a drone.", 24);
    made.sampling.temperature = 0.8;
    made.sampling.seed = seed;
    return made;
  };
  std::vector<Outcome> alone;
  for (std::uint64_t seed = 0; seed < 8; ++seed) alone.push_back(batcher.run(request(seed)));
  std::vector<GenerationId> ids;
  for (std::uint64_t seed = 0; seed < 8; ++seed) ids.push_back(batcher.submit(request(seed)));
  std::size_t tokens = 0;
  std::size_t same = 0;
  for (std::size_t seed = 0; seed < 8; ++seed) {
    const auto batched = batcher.wait(ids[seed]).tokens.at(0);
    const auto& expected = alone[seed].tokens.at(0);
    const auto [a, b] =
        std::mismatch(expected.begin(), expected.end(), batched.begin(), batched.end());
    tokens += expected.size();
    same += static_cast<std::size_t>(a - expected.begin());
  }
  // A near tie may fall the other way in another batch shape, and the rest of that text follows it.
  EXPECT_GE(same * 10, tokens * 8);
  EXPECT_NE(alone[0].text(), alone[1].text());
}

TEST(Batcher, ResumesAnAnswerWhereAnotherEngineLeftIt) {
  TestBatcher batcher{small()};
  const auto request = [] {
    GenerationRequest made = ask("Explain data residency in detail.", 40);
    made.sampling.temperature = 0.7;
    made.sampling.seed = 11;
    made.sampling.frequency_penalty = 0.3;
    return made;
  };
  const Outcome whole = batcher.run(request());
  const auto& tokens = whole.tokens.at(0);
  ASSERT_GT(tokens.size(), 20U);
  GenerationRequest rest = request();
  rest.resume.push_back({.tokens = {tokens.begin(), tokens.begin() + 15}});
  const Outcome resumed = batcher.run(std::move(rest));
  EXPECT_EQ(resumed.tokens.at(0), std::vector<Token>(tokens.begin() + 15, tokens.end()));
  EXPECT_TRUE(whole.text().ends_with(resumed.text()));
  EXPECT_EQ(resumed.usage->completion_tokens, tokens.size());
  EXPECT_EQ(resumed.usage->prompt_tokens, whole.usage->prompt_tokens);
}

TEST(Batcher, ResumingACompleteAnswerEndsAtOnce) {
  TestBatcher batcher{small()};
  GenerationRequest request = ask(kQuestion, 5);
  const Outcome whole = batcher.run(request);
  request.resume.push_back({.tokens = whole.tokens.at(0)});
  const Outcome resumed = batcher.run(request);
  EXPECT_EQ(resumed.text(), "");
  EXPECT_EQ(resumed.finishes.at(0), FinishReason::Length);
  EXPECT_EQ(resumed.usage->completion_tokens, 5U);
}

TEST(Batcher, ChoicesShareThePromptAndDiffer) {
  TestBatcher batcher{small()};
  GenerationRequest request = ask("Tell me a story about a camera.", 24);
  request.choices = 6;
  request.sampling.temperature = 1;
  request.sampling.seed = 5;
  const Outcome outcome = batcher.run(request);
  ASSERT_EQ(outcome.texts.size(), 6U);
  EXPECT_NE(outcome.texts.at(0), outcome.texts.at(1));
  EXPECT_EQ(outcome.usage->prompt_tokens, request.prompt.size());
  EXPECT_EQ(outcome.usage->cached_tokens, 0U);
  EXPECT_EQ(outcome.finishes.size(), 6U);
}

TEST(Batcher, ARunningStreamGoesOnWhileALongPromptIsRead) {
  TestBatcher batcher{small()};
  const GenerationId running = batcher.submit(endless("Tell me a story about a drone."));
  batcher.wait_until(running, [](const Outcome& o) { return !o.tokens.empty(); });
  GenerationRequest longer;
  longer.prompt = prompt_of(700);
  longer.sampling.temperature = 0;
  longer.tokens_max = 1;
  const std::size_t before =
      batcher.wait_until(running, [](const Outcome&) { return true; }).tokens.at(0).size();
  const Outcome read = batcher.wait(batcher.submit(longer));
  EXPECT_EQ(read.load_at_end.slots_busy, 1U) << "the answer still runs";
  const Outcome after = batcher.wait_until(running, [](const Outcome&) { return true; });
  EXPECT_GE(after.tokens.at(0).size(), before + 4);  // 700 tokens take far more than four pieces
  batcher.cancel(running);
}

// In the step that reads the last piece of a prompt, its first token and that of the answer beside
// it are both made: the answer's must have left before.
TEST(Batcher, ATokenOfAnAnswerDoesNotWaitForThePromptReadBesideIt) {
  TestBatcher batcher{small()};
  const GenerationId running = batcher.submit(endless("Tell me a story about a drone."));
  batcher.wait_until(running, [](const Outcome& o) { return !o.tokens.empty(); });
  std::vector<GenerationId> read;
  for (std::uint32_t variant = 0; variant < 4; ++variant) {
    GenerationRequest longer;
    longer.prompt = prompt_of(150, variant);
    longer.sampling.temperature = 0;
    longer.tokens_max = 1;
    read.push_back(batcher.submit(longer));
    batcher.wait(read.back());
  }
  EXPECT_FALSE(batcher.wait_until(running, [](const Outcome&) { return true; }).over());
  batcher.cancel(running);
  const auto calls = batcher.calls();
  for (const GenerationId id : read) {
    const auto call = std::ranges::find_if(calls, [id](auto& ids) { return ids.contains(id); });
    EXPECT_THAT(*call, testing::ElementsAre(id));
    EXPECT_THAT(*std::prev(call), testing::ElementsAre(running));
  }
}

TEST(Batcher, AnAnswerThatEndsBesideAPromptIsNoLongerInTheLoadThatItsEndTells) {
  TestBatcher batcher{small()};
  GenerationRequest longer;
  longer.prompt = prompt_of(900);
  longer.tokens_max = 1;
  const GenerationId answer = batcher.submit(ask(kQuestion, 4));
  const GenerationId prompt = batcher.submit(longer);
  const Outcome outcome = batcher.wait(answer);
  EXPECT_LE(outcome.load_at_end.slots_busy, 1U);  // the prompt's
  batcher.wait(prompt);
}

TEST(Batcher, CancelFreesTheSlotForTheNext) {
  BatcherOptions options = small();
  options.slots = 1;
  TestBatcher batcher{options};
  const GenerationId running = batcher.submit(endless("Tell me a story about a drone."));
  batcher.wait_until(running, [](const Outcome& o) { return !o.tokens.empty(); });
  const GenerationId waiting = batcher.submit(ask(kQuestion, 4));
  batcher.cancel(running);
  EXPECT_EQ(batcher.wait(waiting).tokens.at(0).size(), 4U);
  EXPECT_FALSE(batcher.wait_until(running, [](const Outcome&) { return true; }).over());
}

TEST(Batcher, AHigherClassOvertakesInTheQueue) {
  BatcherOptions options = small();
  options.slots = 1;
  TestBatcher batcher{options};
  const GenerationId running = batcher.submit(endless("Tell me a story about a drone."));
  batcher.wait_until(running, [](const Outcome& o) { return !o.tokens.empty(); });
  GenerationRequest batch = ask(kQuestion, 2);
  batch.service_class = ServiceClass::Batch;
  GenerationRequest realtime = ask(kQuestion, 2);
  realtime.service_class = ServiceClass::Realtime;
  const GenerationId low = batcher.submit(batch);
  const GenerationId high = batcher.submit(realtime);
  batcher.cancel(running);
  batcher.wait(low);
  batcher.wait(high);
  EXPECT_THAT(batcher.order(), testing::ElementsAre(running, high, low));
}

// Answers beyond the batch would hold a slot and get no token until others end.
TEST(Batcher, RefusesABatchThatCanNotHoldATokenOfEverySlot) {
  const SystemClock clock;
  BatcherOptions options = small();
  options.slots = 17;
  options.batch = 16;
  const auto refused = Batcher::start(demo_model(), clock, options, [](auto&&) {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  EXPECT_EQ(refused.error().param, "batch");
  EXPECT_THAT(refused.error().message, HasSubstr("raise batch or lower slots"));
  options.slots = 16;
  EXPECT_TRUE(Batcher::start(demo_model(), clock, options, [](auto&&) {}));
}

TEST(Batcher, RefusesWhenTheQueueIsFullAndTakesWorkAgainLater) {
  BatcherOptions options = small();
  options.slots = 1;
  options.waiting_max = 2;
  TestBatcher batcher{options};
  const GenerationId running = batcher.submit(endless(kQuestion));
  std::vector<GenerationId> ids;
  for (int i = 0; i < 2; ++i) ids.push_back(batcher.submit(ask(kQuestion, 30)));
  const auto refused = batcher.batcher().submit(ask(kQuestion, 30));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::ResourceExhausted);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  batcher.cancel(running);
  for (const GenerationId id : ids) batcher.wait(id);
  batcher.run(ask(kQuestion, 2));
}

TEST(Batcher, MoreChoicesThanItEverTakesAreAFaultOfTheRequest) {
  BatcherOptions options = small();
  options.slots = 1;
  options.waiting_max = 2;
  TestBatcher batcher{options};
  GenerationRequest request = ask(kQuestion, 2);
  request.choices = 4;
  const auto refused = batcher.batcher().submit(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  EXPECT_EQ(refused.error().param, "n");
  EXPECT_THAT(refused.error().message, HasSubstr("at most 3"));
  request.choices = 3;
  EXPECT_FALSE(batcher.run(request).error);
}

TEST(Batcher, RefusesAPromptLongerThanTheContext) {
  TestBatcher batcher{small()};
  GenerationRequest request;
  request.prompt = prompt_of(5000);
  request.prompt_param = "prompt";
  const auto refused = batcher.batcher().submit(std::move(request));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::PayloadTooLarge);
  EXPECT_EQ(refused.error().param, "prompt");
  EXPECT_THAT(refused.error().message, HasSubstr("5000"));
}

TEST(Batcher, CutsTheAnswerAtTheEndOfTheContext) {
  TestBatcher batcher{small()};
  GenerationRequest request;
  request.prompt = prompt_of(1000);
  request.sampling.temperature = 1;
  request.sampling.logit_bias = {{demo_model().tokenize("<|im_end|>", false, true).at(0), -100.0F}};
  request.tokens_max = 5000;
  const Outcome outcome = batcher.run(std::move(request));
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  EXPECT_LE(outcome.tokens.at(0).size(), 24U);
}

TEST(Batcher, ADeadlineEndsAWaitingRequest) {
  BatcherOptions options = small();
  options.slots = 1;
  TestBatcher batcher{options};
  const GenerationId running = batcher.submit(ask("Tell me a story about a drone.", 200));
  GenerationRequest late = ask(kQuestion, 30);
  late.deadline = batcher.clock().now();
  const Outcome outcome = batcher.run(std::move(late));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, Code::DeadlineExceeded);
  batcher.cancel(running);
}

TEST(Batcher, GuidedAnswersAreAlwaysValidJson) {
  TestBatcher batcher{small()};
  const auto schema = boost::json::parse(R"({"type":"object","additionalProperties":false,
    "required":["state","level","tags"],"properties":{"state":{"enum":["ok","warning","alarm"]},
    "level":{"type":"integer","minimum":0,"maximum":9},
    "tags":{"type":"array","items":{"type":"string","maxLength":6},"maxItems":2}}})");
  const std::string grammar = grammar_of_schema(schema, "schema").value();
  std::vector<GenerationId> ids;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    GenerationRequest request = ask("Check this reading: temperature 51 C at cell-7", 400);
    request.grammar = grammar;
    request.sampling.temperature = 1.5;
    request.sampling.seed = seed;
    ids.push_back(batcher.submit(std::move(request)));
  }
  for (const GenerationId id : ids) {
    const Outcome outcome = batcher.wait(id);
    ASSERT_FALSE(outcome.error) << outcome.error->message;
    boost::system::error_code error;
    const auto value = boost::json::parse(outcome.text(), error);
    ASSERT_FALSE(error) << outcome.text();
    EXPECT_TRUE(value.as_object().contains("state")) << outcome.text();
    EXPECT_LE(value.as_object().at("tags").as_array().size(), 2U);
  }
}

TEST(Batcher, RefusesABadGrammar) {
  TestBatcher batcher{small()};
  for (const char* bad : {"root ::= \"a", "root ::= x", "start ::= \"a\"", "root ::= root \"a\""}) {
    GenerationRequest request = ask(kQuestion);
    request.grammar = bad;
    request.grammar_param = "grammar";
    const auto refused = batcher.batcher().submit(std::move(request));
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_EQ(refused.error().param, "grammar");
  }
}

TEST(Batcher, LogprobsAreOfTheModelAndSorted) {
  TestBatcher batcher{small()};
  GenerationRequest request = ask(kQuestion, 6);
  request.top_logprobs = 3;
  const Outcome outcome = batcher.run(std::move(request));
  ASSERT_EQ(outcome.records.size(), 6U);
  for (const TokenRecord& record : outcome.records) {
    ASSERT_EQ(record.top.size(), 3U);
    EXPECT_EQ(record.top[0].token, record.token);  // greedy
    EXPECT_FLOAT_EQ(record.top[0].logprob, record.logprob);
    EXPECT_GE(record.top[0].logprob, record.top[1].logprob);
    EXPECT_LE(record.logprob, 0);
  }
}

TEST(Batcher, EmbeddingsHaveLengthOneAndFollowTheText) {
  TestBatcher batcher{small()};
  const auto tokens = [](const char* text) { return demo_model().tokenize(text, true, false); };
  EmbeddingRequest request;
  request.inputs = {tokens("the router picks a site"), tokens("the router picks a site"),
                    tokens("smoke and fire alarm"), prompt_of(700)};
  const Outcome outcome = batcher.wait(batcher.embed(std::move(request)));
  ASSERT_TRUE(outcome.embedded);
  const auto& vectors = outcome.embedded->vectors;
  ASSERT_EQ(vectors.size(), 4U);
  const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
    return sum;
  };
  EXPECT_EQ(vectors[0].size(), demo_model().embedding_size());
  EXPECT_NEAR(dot(vectors[0], vectors[0]), 1, 1e-5);
  EXPECT_NEAR(dot(vectors[0], vectors[1]), 1, 1e-5);
  EXPECT_LT(dot(vectors[0], vectors[2]), 0.999);
  EXPECT_EQ(outcome.embedded->usage.completion_tokens, 0U);
}

TEST(Batcher, LoadTellsSlotsSpeedAndQueue) {
  TestBatcher batcher{small()};
  const EngineLoad fresh = batcher.batcher().load();
  EXPECT_EQ(fresh.slots, 4U);
  EXPECT_EQ(fresh.slots_busy, 0U);
  EXPECT_GT(fresh.prefill_tokens_per_s, 0);
  EXPECT_GT(fresh.decode_ms, 0);
  const GenerationId id = batcher.submit(endless("Tell me a story about a drone."));
  batcher.wait_until(id, [](const Outcome& o) { return !o.tokens.empty(); });
  EXPECT_EQ(batcher.batcher().load().slots_busy, 1U);
  EXPECT_GT(batcher.batcher().load().kv_used, 0);
  batcher.cancel(id);
}

}  // namespace
}  // namespace perigee::llama
