#include "api/error_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace perigee::api {
namespace {

using ::testing::HasSubstr;

TEST(ErrorBody, HasAllFourKeysWithNullWhereThereIsNothingToSay) {
  EXPECT_EQ(
      error_body({Code::InvalidArgument, "Bad."}),
      R"({"error":{"message":"Bad.","type":"invalid_request_error","param":null,"code":null}})");
}

TEST(ErrorBody, NamesTheFieldAndEscapesTheMessage) {
  EXPECT_EQ(error_body({Code::InvalidArgument, "say \"a\"\n", "messages[0].role"}),
            R"({"error":{"message":"say \"a\"\n",)"
            R"("type":"invalid_request_error","param":"messages[0].role","code":null}})");
}

TEST(ErrorBody, GivesEachCodeOpenAIsVocabulary) {
  EXPECT_THAT(error_body({Code::Unauthenticated, "m"}), HasSubstr(R"("code":"invalid_api_key")"));
  EXPECT_THAT(error_body({Code::NotFound, "m", "model"}), HasSubstr(R"("code":"model_not_found")"));
  EXPECT_THAT(error_body({Code::DataResidency, "m"}), HasSubstr("data_residency_mismatch"));
  EXPECT_THAT(error_body({Code::ResourceExhausted, "m"}), HasSubstr("rate_limit_exceeded"));
  EXPECT_THAT(error_body({Code::Internal, "m"}), HasSubstr(R"("code":"server_error")"));
}

TEST(ErrorBody, MapsEveryCodeToItsStatus) {
  EXPECT_EQ(http_status(Code::InvalidArgument), 400);
  EXPECT_EQ(http_status(Code::Unauthenticated), 401);
  EXPECT_EQ(http_status(Code::DataResidency), 403);
  EXPECT_EQ(http_status(Code::MethodNotAllowed), 405);
  EXPECT_EQ(http_status(Code::FailedPrecondition), 412);
  EXPECT_EQ(http_status(Code::PayloadTooLarge), 413);
  EXPECT_EQ(http_status(Code::ResourceExhausted), 429);
  EXPECT_EQ(http_status(Code::Cancelled), 499);
  EXPECT_EQ(http_status(Code::DataLoss), 500);
  EXPECT_EQ(http_status(Code::Protocol), 502);
  EXPECT_EQ(http_status(Code::Unavailable), 503);
  EXPECT_EQ(http_status(Code::DeadlineExceeded), 504);
}

TEST(ErrorBody, AnswersAPromptBeyondTheContextWith400) {
  const Error error{Code::PayloadTooLarge, "The prompt is too long.", "messages"};
  EXPECT_EQ(http_status(error), 400);
  EXPECT_THAT(error_body(error), HasSubstr(R"("code":"context_length_exceeded")"));
  EXPECT_EQ(http_status(Error{Code::PayloadTooLarge, "The body is too large."}), 413);
}

TEST(ErrorBody, ReadsBackWhatItWrites) {
  const Error all[] = {{Code::InvalidArgument, "a", "n"},
                       {Code::Unauthenticated, "b"},
                       {Code::DataResidency, "c"},
                       {Code::PermissionDenied, "d"},
                       {Code::NotFound, "e", "model"},
                       {Code::PayloadTooLarge, "f", "prompt"},
                       {Code::PayloadTooLarge, "g"},
                       {Code::ResourceExhausted, "h"},
                       {Code::Unavailable, "i \xC3\xA9\x01"},
                       {Code::DeadlineExceeded, "j"}};
  for (const Error& error : all) {
    EXPECT_EQ(parse_error_body(http_status(error), error_body(error)), error) << error.message;
  }
}

TEST(ErrorBody, ReadsTheShapesOfOtherServers) {
  EXPECT_EQ(parse_error_body(400, R"({"error":"no such thing"})").message, "no such thing");
  EXPECT_EQ(parse_error_body(422, R"({"detail":"bad field"})").message, "bad field");
  EXPECT_EQ(parse_error_body(500, R"({"object":"error","message":"m","code":500})").message, "m");
  EXPECT_EQ(parse_error_body(503, "<html>").message, "The engine answered HTTP 503.");
  EXPECT_EQ(parse_error_body(502, "").code, Code::Protocol);
  EXPECT_EQ(parse_error_body(429, R"({"error":{"message":7,"code":429}})").code,
            Code::ResourceExhausted);
}

TEST(ErrorBody, CutsAHugeUpstreamMessageBetweenCharacters) {
  std::string message;
  for (int i = 0; i < 2000; ++i) message += "\xC3\xA9";
  const Error error = parse_error_body(400, R"({"error":{"message":"x)" + message + R"("}})");
  EXPECT_LE(error.message.size(), 1024u);
  EXPECT_THAT(error_body(error), ::testing::Not(HasSubstr("\xEF\xBF\xBD")));
}

TEST(ErrorBody, SurvivesDeepNesting) {
  const std::string deep = R"({"error":)" + std::string(20000, '[') + "}";
  EXPECT_EQ(parse_error_body(400, deep).message, "The engine answered HTTP 400.");
}

TEST(ErrorBody, AnErrorWithinAStreamKeepsItsMeaning) {
  for (const Code code : {Code::ResourceExhausted, Code::DeadlineExceeded, Code::Unavailable,
                          Code::FailedPrecondition, Code::InvalidArgument}) {
    EXPECT_EQ(parse_error_event(error_body(Error{code, "why"})).code, code);
  }
  EXPECT_EQ(parse_error_event(R"({"error":{"message":"x","type":"odd","code":7}})").code,
            Code::Protocol);
  EXPECT_EQ(parse_error_event("{").code, Code::Protocol);
}

}  // namespace
}  // namespace perigee::api
