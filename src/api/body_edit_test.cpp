#include "api/body_edit.h"

#include <gtest/gtest.h>

#include "api/request_summary.h"
#include "base/random.h"

namespace perigee::api {
namespace {

Result<RequestSummary> read(std::string body) {
  const std::size_t size = body.size();
  body.resize(size + 64, ' ');
  return summarize(Operation::Completion, std::string_view{body}.substr(0, size), "", {});
}

std::string edited(const std::string& body, std::string_view model, bool ask_usage) {
  const auto summary = read(body);
  EXPECT_TRUE(summary) << body;
  return edit_body(body, {.model = model,
                          .model_span = summary->model_span,
                          .ask_usage = ask_usage,
                          .stream_options_span = summary->stream_options_span,
                          .cache_salt = {},
                          .resume = {},
                          .resume_span = {}});
}

TEST(BodyEdit, ReplacesTheModelAndNothingElse) {
  EXPECT_EQ(edited(R"({ "a":1, "model" : "m" , "prompt":"model" })", "org/x", false),
            R"({ "a":1, "model" : "org/x" , "prompt":"model" })");
  EXPECT_EQ(edited(R"({"model":"m","prompt":""})", "a\"b", false),
            R"({"model":"a\"b","prompt":""})");
}

TEST(BodyEdit, LeavesABodyAloneWhenNothingIsAsked) {
  const std::string body = R"({"model":"m","prompt":"p"})";
  EXPECT_EQ(edited(body, "", false), body);
}

TEST(BodyEdit, AsksForUsageWhereverStreamOptionsStand) {
  EXPECT_EQ(edited(R"({"model":"m","prompt":"p","stream":true})", "", true),
            R"({"stream_options":{"include_usage":true},"model":"m","prompt":"p","stream":true})");
  EXPECT_EQ(edited(R"({"model":"m","prompt":"p","stream":true,"stream_options":null})", "", true),
            R"({"model":"m","prompt":"p","stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(edited(R"({"model":"m","prompt":"p","stream":true,"stream_options":{ }})", "", true),
            R"({"model":"m","prompt":"p","stream":true,"stream_options":{"include_usage":true }})");
  EXPECT_EQ(
      edited(R"({"model":"m","prompt":"p","stream":true,"stream_options":{"x":[{}]}})", "", true),
      R"({"model":"m","prompt":"p","stream":true,)"
      R"("stream_options":{"include_usage":true,"x":[{}]}})");
  EXPECT_EQ(edited(R"({"model":"m","prompt":"p","stream":true,)"
                   R"("stream_options":{"x":1,"include_usage": false }})",
                   "", true),
            R"({"model":"m","prompt":"p","stream":true,)"
            R"("stream_options":{"x":1,"include_usage": true }})");
}

TEST(BodyEdit, DoesBothInEitherOrder) {
  EXPECT_EQ(
      edited(R"({"stream":true,"stream_options":{"include_usage":false},"model":"m","prompt":""})",
             "n", true),
      R"({"stream":true,"stream_options":{"include_usage":true},"model":"n","prompt":""})");
  EXPECT_EQ(edited(R"({"model":"m","stream":true,"stream_options":{},"prompt":""})", "n", true),
            R"({"model":"n","stream":true,"stream_options":{"include_usage":true},"prompt":""})");
}

TEST(BodyEdit, AddsWhatWasDeliveredAndReplacesItLater) {
  BodyEdits edits;
  edits.resume = R"([{"ids":"1"}])";
  const std::string once = edit_body(R"( {"model":"m","prompt":"p"})", edits);
  EXPECT_EQ(once, R"( {"perigee_resume":[{"ids":"1"}],"model":"m","prompt":"p"})");
  const auto summary = read(once);
  ASSERT_TRUE(summary);
  EXPECT_EQ(once.substr(summary->resume_span.offset, summary->resume_span.size), edits.resume);
  edits.resume = R"([{"ids":"1,2"}])";
  edits.resume_span = summary->resume_span;
  EXPECT_EQ(edit_body(once, edits),
            R"( {"perigee_resume":[{"ids":"1,2"}],"model":"m","prompt":"p"})");
}

TEST(BodyEdit, GivesABodyThatReadsBackAsAsked) {
  const std::string pieces[] = {R"("model":"m")", R"("prompt":"{\"model\":1}")", R"("stream":true)",
                                R"( "x" : {"stream_options":{"include_usage":false}} )",
                                R"("stream_options": {"y":"}","include\u005fusage":null})"};
  Random random{7};
  for (int round = 0; round < 500; ++round) {
    std::size_t order[] = {0, 1, 2, 3, 4};
    for (std::size_t i = 4; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    std::string body = "\n{";
    for (std::size_t i = 0; i < 5; ++i) body += (i == 0 ? "" : ",") + pieces[order[i]];
    const auto summary = read(edited(body + "}", "new/model", true));
    ASSERT_TRUE(summary) << summary.error().message << body;
    EXPECT_EQ(summary->model, ModelId{"new/model"});
    EXPECT_TRUE(summary->include_usage);
  }
}

TEST(BodyEdit, AddsASaltThatNobodyElseMaySet) {
  BodyEdits edits;
  edits.cache_salt = "00ab";
  EXPECT_EQ(edit_body(R"({"model":"m","prompt":"p"})", edits),
            R"({"cache_salt":"00ab","model":"m","prompt":"p"})");
  for (const char* field : {"cache_salt", "cache_salt_id", "cache\\u005fsalt"}) {
    const auto refused = read(R"({"model":"m","prompt":"p",")" + std::string{field} + R"(":null})");
    ASSERT_FALSE(refused) << field;
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  }
}

}  // namespace
}  // namespace perigee::api
