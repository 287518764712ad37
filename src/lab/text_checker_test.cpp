#include "lab/text_checker.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/clock.h"
#include "engine/llama/batcher.h"
#include "engine/server/openai_request.h"
#include "lab/lab_requests.h"

#include <condition_variable>
#include <map>
#include <mutex>

namespace perigee::lab {
namespace {

constexpr double kTolerance = 0.25;

// Answers of the engine's own batcher, four at once, as a client would see them.
class TextCheckerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    checker_ = TextChecker::create(PERIGEE_DEMO_MODEL, "m", kTolerance).value().release();
    llama::ModelOptions options;
    options.path = PERIGEE_DEMO_MODEL;
    model_ = llama::Model::load(options).value().release();
  }
  static void TearDownTestSuite() {
    delete checker_;
    delete model_;
  }

  std::vector<LabAnswer> answer_all(const std::vector<LabRequest>& requests) {
    std::vector<LabAnswer> answers(requests.size());
    std::map<llama::GenerationId, std::size_t> places;
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t open = requests.size();
    llama::BatcherOptions options;
    options.slots = 4;
    auto batcher = llama::Batcher::start(*model_, clock_, options, [&](auto&& events) {
      const std::scoped_lock lock{mutex};
      for (llama::GenerationEvent& event : events) {
        LabAnswer& answer = answers[places.at(event.id)];
        if (auto* progress = std::get_if<llama::Progress>(&event.what)) {
          add(answer.choices[progress->choice], *progress);
        } else {
          answer.usage = std::get<llama::Done>(event.what).usage;
          --open;
        }
      }
      changed.notify_all();
    });
    std::vector<llama::Ticket> tickets;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const engine_server::ServedModel served{*model_, "m", 1024};
      auto parsed = engine_server::parse_chat(served, requests[i].body).value();
      const std::scoped_lock lock{mutex};
      answers[i].choices.resize(requests[i].choices);
      tickets.push_back((*batcher)->submit(std::move(parsed.generations.front())).value());
      places[tickets.back().id()] = i;
    }
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return open == 0; });
    return answers;
  }

  static void add(ChoiceSeen& choice, const llama::Progress& progress) {
    choice.text += progress.text;
    for (const llama::TokenRecord& record : progress.tokens) {
      choice.tokens.push_back({std::string{model_->name(record.token)}, record.logprob});
    }
    if (!progress.finish) return;
    choice.finish = *progress.finish == llama::FinishReason::Stop ? "stop" : "length";
  }

  static std::vector<LabRequest> requests_of(RequestKind kind, std::uint32_t count) {
    LabPlan plan;
    plan.workload.requests = count;
    plan.workload.tokens_max = 60;
    plan.workload.kinds.at(static_cast<std::size_t>(kind)) = 1;
    plan.workload.classes[2] = 1;
    return make_requests(plan, "m");
  }

  static TextChecker* checker_;
  static llama::Model* model_;
  SystemClock clock_;
};
TextChecker* TextCheckerTest::checker_ = nullptr;
llama::Model* TextCheckerTest::model_ = nullptr;

TEST_F(TextCheckerTest, AgreesWithTheEngineInEveryKind) {
  for (const RequestKind kind : {RequestKind::Greedy, RequestKind::Seeded, RequestKind::Guided,
                                 RequestKind::Stop, RequestKind::Choices, RequestKind::Logprobs}) {
    const std::vector<LabRequest> requests = requests_of(kind, 8);
    const std::vector<LabAnswer> answers = answer_all(requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const TextVerdict verdict = checker_->check(requests[i], answers[i]);
      EXPECT_EQ(verdict.fault, "") << to_string(kind) << " " << requests[i].body << "\n"
                                   << answers[i].choices[0].text;
      EXPECT_EQ(verdict.tokens, answers[i].usage->completion_tokens);
    }
  }
}

TEST_F(TextCheckerTest, FindsATokenThatIsLostRepeatedOrAnothers) {
  for (const RequestKind kind : {RequestKind::Greedy, RequestKind::Seeded}) {
    const std::vector<LabRequest> requests = requests_of(kind, 6);
    const std::vector<LabAnswer> answers = answer_all(requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const std::string& text = answers[i].choices[0].text;
      const std::size_t word = text.find(' ', text.size() / 2);
      if (word == std::string::npos) continue;
      const std::size_t next = std::min(text.find(' ', word + 1), text.size());
      const auto judged = [&](std::string changed) {
        LabAnswer answer = answers[i];
        answer.choices[0].text = std::move(changed);
        return checker_->check(requests[i], answer).fault;
      };
      EXPECT_EQ(judged(text), "");
      EXPECT_NE(judged(text.substr(0, word) + text.substr(next)), "") << "lost: " << text;
      EXPECT_NE(judged(text.substr(0, next) + text.substr(word)), "") << "repeated: " << text;
      EXPECT_NE(judged(text.substr(0, word)), "") << "ends early: " << text;
      LabAnswer miscounted = answers[i];
      ++miscounted.usage->completion_tokens;
      EXPECT_NE(checker_->check(requests[i], miscounted).fault, "");
    }
  }
}

// A bias that the checker does not know of lets long tokens win from their own beginnings, which
// fit the text as well and score more: only the text behind tells what was sent.
TEST_F(TextCheckerTest, ComesBackToATieWhereTheTextBehindTellsTheOtherToken) {
  constexpr double kBias = 6;
  constexpr std::size_t kLong = 6;  // bytes
  auto wide = TextChecker::create(PERIGEE_DEMO_MODEL, "m", kBias + 0.25).value();
  const std::vector<LabRequest> requests = requests_of(RequestKind::Greedy, 24);
  boost::json::object biases;
  for (llama::Token token = 0; token < model_->vocabulary_size() && biases.size() < 1000; ++token) {
    if (model_->piece(token).size() >= kLong) biases[std::to_string(token)] = kBias;
  }
  std::vector<LabRequest> biased = requests;
  for (LabRequest& request : biased) {
    boost::json::value body = boost::json::parse(request.body);
    body.as_object()["logit_bias"] = biases;
    request.body = boost::json::serialize(body);
  }
  const std::vector<LabAnswer> answers = answer_all(biased);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const TextVerdict verdict = wide->check(requests[i], answers[i]);
    EXPECT_EQ(verdict.fault, "") << answers[i].choices[0].text;
    EXPECT_EQ(verdict.tokens, answers[i].usage->completion_tokens);
  }
}

TEST_F(TextCheckerTest, TellsTheSeedThatATextWasMadeWith) {
  std::vector<LabRequest> requests = requests_of(RequestKind::Seeded, 16);
  const std::vector<LabAnswer> answers = answer_all(requests);
  std::size_t found = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    boost::json::value body = boost::json::parse(requests[i].body);
    body.as_object()["seed"] = 4711;
    requests[i].body = boost::json::serialize(body);
    if (!checker_->check(requests[i], answers[i]).fault.empty()) ++found;
  }
  EXPECT_GE(found, 4U);  // a question with one likely answer is the same under many seeds
}

}  // namespace
}  // namespace perigee::lab
