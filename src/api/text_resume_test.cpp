#include "api/text_resume.h"

#include <gtest/gtest.h>

#include "api/request_summary.h"

namespace perigee::api {
namespace {

Delivered::Text text_of(std::string text, std::uint32_t tokens) {
  Delivered::Text delivered;
  delivered.text = std::move(text);
  delivered.tokens = tokens;
  return delivered;
}

Result<TextContinuation> go_on(Operation operation, const std::string& body,
                               const Delivered::Text& text, TextResume how) {
  std::string padded = body + std::string(64, ' ');
  const auto summary =
      summarize(operation, std::string_view{padded}.substr(0, body.size()), "", {});
  EXPECT_TRUE(summary) << body << summary.error().message;
  return continue_by_text(operation, body, summary->resume_span, text, how);
}

std::string chat(const std::string& more = "") {
  return R"({"model":"m", "messages":[ {"role":"user","content":"Hi"} ],"stream":true)" + more +
         "}";
}

std::string edited(const std::string& body, const Result<TextContinuation>& continuation) {
  EXPECT_TRUE(continuation) << continuation.error().message;
  return continuation ? edit_text(body, continuation->edits) : "";
}

TEST(TextResume, KnowsItsNames) {
  EXPECT_EQ(parse_text_resume("off"), TextResume::Off);
  EXPECT_EQ(parse_text_resume("final_message"), TextResume::FinalMessage);
  EXPECT_EQ(parse_text_resume("prefill"), TextResume::Prefill);
  EXPECT_EQ(parse_text_resume("on"), std::nullopt);
}

TEST(TextResume, AddsWhatWasSaidAsTheLastMessageOfAChat) {
  const std::string body = chat(R"(,"x":[1.0])");
  const auto text = text_of(R"(Hello,\n\"w\u00e9)", 4);
  EXPECT_EQ(edited(body, go_on(Operation::Chat, body, text, TextResume::Prefill)),
            R"({"model":"m", "messages":[ {"role":"user","content":"Hi"} )"
            R"(,{"role":"assistant","content":"Hello,\n\"w)"
            "\xC3\xA9"
            R"("}],"stream":true,"x":[1.0]})");
  EXPECT_EQ(edited(body, go_on(Operation::Chat, body, text, TextResume::FinalMessage)),
            R"({"continue_final_message":true,"add_generation_prompt":false,)"
            R"("model":"m", "messages":[ {"role":"user","content":"Hi"} )"
            R"(,{"role":"assistant","content":"Hello,\n\"w)"
            "\xC3\xA9"
            R"("}],"stream":true,"x":[1.0]})");
}

TEST(TextResume, SendsAMessageWithoutTheSpaceAtItsEndWhichTemplatesTrim) {
  const std::string body = chat();
  const auto continuation =
      go_on(Operation::Chat, body, text_of(R"(One:\n\n )", 3), TextResume::Prefill);
  ASSERT_TRUE(continuation);
  EXPECT_EQ(continuation->sent, "One:");
  EXPECT_EQ(continuation->space, "\n\n ");
  const auto blank = go_on(Operation::Chat, body, text_of(" ", 1), TextResume::FinalMessage);
  EXPECT_EQ(edited(body, blank), body) << "nothing to go on with: it begins anew";
  EXPECT_EQ(blank->space, " ");
}

TEST(TextResume, PutsTheTextBehindThePromptOfACompletion) {
  const std::string body = R"({"prompt": "Say \"x\"" ,"model":"m","max_tokens":20})";
  for (const TextResume how : {TextResume::Prefill, TextResume::FinalMessage}) {
    const auto continuation = go_on(Operation::Completion, body, text_of(R"( y\n)", 2), how);
    EXPECT_EQ(edited(body, continuation),
              R"({"prompt": "Say \"x\" y\n" ,"model":"m","max_tokens":18})");
    EXPECT_EQ(continuation->space, "") << "no template trims it";
  }
}

TEST(TextResume, LeavesTheTokensThatTheClientAllowed) {
  const std::string body = chat(R"(,"max_tokens":10,"max_completion_tokens": 7)");
  const auto some =
      edited(body, go_on(Operation::Chat, body, text_of("a", 3), TextResume::Prefill));
  EXPECT_NE(some.find(R"("max_tokens":7,"max_completion_tokens": 4)"), std::string::npos) << some;
  const auto none = go_on(Operation::Chat, body, text_of("a", 7), TextResume::Prefill);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->at_limit);
  const std::string open = chat(R"(,"max_tokens":null)");
  EXPECT_FALSE(go_on(Operation::Chat, open, text_of("a", 7), TextResume::Prefill)->at_limit);
}

TEST(TextResume, TakesOutWhatASiteAddedToTheBody) {
  const std::string body =
      R"({"perigee_resume":{"text":"a","tokens":1},"model":"m","prompt":"p","stream":true})";
  EXPECT_EQ(edited(body, go_on(Operation::Completion, body, text_of("a", 1), TextResume::Prefill)),
            R"({"model":"m","prompt":"pa","stream":true})");
  const std::string elsewhere =
      R"({"model":"m","prompt":"p","perigee_resume" : {"text":"a","tokens":1}})";
  EXPECT_EQ(
      go_on(Operation::Completion, elsewhere, text_of("a", 1), TextResume::Prefill).error().code,
      Code::FailedPrecondition);
}

TEST(TextResume, TakesWhatBindsAnAnswerToNothing) {
  for (const char* more :
       {R"(,"n":1)", R"(,"n":null)", R"(,"tools":[])", R"(,"response_format":{"type":"text"})",
        R"(,"response_format":null)", R"(,"logprobs":true,"top_logprobs":2)", R"(,"grammar":"")",
        R"(,"echo":false)", R"(,"guided_json":null)", R"(,"stop":["x"],"seed":7)"}) {
    const std::string body = chat(more);
    EXPECT_TRUE(go_on(Operation::Chat, body, text_of("a", 1), TextResume::Prefill)) << more;
  }
}

TEST(TextResume, RefusesAnswersThatAreMoreThanTheirText) {
  const auto refused = [](Operation operation, const std::string& body) {
    const auto answer = go_on(operation, body, text_of("a", 1), TextResume::FinalMessage);
    ASSERT_FALSE(answer) << body;
    EXPECT_EQ(answer.error().code, Code::FailedPrecondition) << body;
  };
  for (const char* more :
       {R"(,"n":2)", R"(,"tools":[{"type":"function"}])", R"(,"functions":[{}])",
        R"(,"response_format":{"type":"json_object"})", R"(,"response_format":"json")",
        R"(,"guided_regex":"a")", R"(,"guided\u005fjson":{})", R"(,"grammar":"root ::= x")",
        R"(,"structured_outputs":{"choice":["a"]})", R"(,"echo":true)", R"(,"best_of":2)",
        R"(,"continue_final_message":true)", R"(,"add_generation_prompt":false)",
        R"(,"audio":{"voice":"x"})", R"(,"json_schema":{"type":"object"})"}) {
    refused(Operation::Chat, chat(more));
  }
  refused(Operation::Chat, R"({"model":"m","messages":[{"role":"user","content":"a"},)"
                           R"({"role":"assistant","content":"b"}]})");
  for (const char* prompt : {R"(["a"])", R"(["a","b"])", "[1,2]", "[[1,2]]"}) {
    refused(Operation::Completion, R"({"model":"m","prompt":)" + std::string{prompt} + "}");
  }
  refused(Operation::Completion, R"({"model":"m","prompt":"p","logprobs":0})");
  refused(Operation::Completion, R"({"model":"m","prompt":"p","suffix":"z"})");
}

TEST(TextResume, RefusesWhereNobodySaidHowOrTheTextIsNone) {
  EXPECT_EQ(go_on(Operation::Chat, chat(), text_of("a", 1), TextResume::Off).error().code,
            Code::FailedPrecondition);
  EXPECT_EQ(
      go_on(Operation::Chat, chat(), text_of(R"(\ud83d)", 1), TextResume::Prefill).error().code,
      Code::FailedPrecondition);
}

}  // namespace
}  // namespace perigee::api
