#include "cli/route_view.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace perigee::cli {
namespace {

const boost::json::value kExplanation = boost::json::parse(R"({
  "plan": [
    {"site": "frankfurt", "engine": "demo-0", "reason": "lowest predicted TTFT", "ttft_ms": 12.34},
    {"site": "paris", "engine": null, "reason": "next", "ttft_ms": 18.0}],
  "candidates": [
    {"site": "berlin", "engine": null, "jurisdiction": "de", "rejection": "jurisdiction"},
    {"site": "marseille", "engine": null, "jurisdiction": "fr", "rejection": null,
     "rtt_ms": 11, "wait_ms": 0, "prefill_ms": 8, "ttft_ms": 19, "finish_ms": 90,
     "cached_tokens": 0},
    {"site": "paris", "engine": null, "jurisdiction": "fr", "rejection": null,
     "rtt_ms": 8, "wait_ms": 2, "prefill_ms": 8, "ttft_ms": 18, "finish_ms": 80,
     "cached_tokens": 3},
    {"site": "frankfurt", "engine": "demo-0", "jurisdiction": "de", "rejection": null,
     "rtt_ms": 4, "wait_ms": 0, "prefill_ms": 8.34, "ttft_ms": 12.34, "finish_ms": 60,
     "cached_tokens": 0}]})");

TEST(RouteView, ShowsCandidatesBestFirstAndSaysWhyOthersAreOut) {
  EXPECT_EQ(
      route_table(kExplanation).render(false),
      "SITE       ENGINE     LAW   RTT  WAIT  PREFILL  TTFT  FINISH  CACHED  VERDICT\n"
      "frankfurt  demo-0     de    4.0   0.0      8.3  12.3    60.0       0  first choice\n"
      "paris      (its own)  fr    8.0   2.0      8.0  18.0    80.0       3  second choice\n"
      "marseille  (its own)  fr   11.0   0.0      8.0  19.0    90.0       0  not needed\n"
      "berlin     (its own)  de      -     -        -     -       -       -  out: jurisdiction\n");
}

TEST(RouteView, SaysInOneSentenceWhoGetsTheRequest) {
  EXPECT_EQ(
      route_sentence(kExplanation),
      "It goes to frankfurt: lowest predicted TTFT; the first token is expected after 12.3 ms. "
      "If that fails before the first byte, paris is next.");
}

TEST(RouteView, SaysWhenNobodyCanServe) {
  EXPECT_NE(route_sentence(boost::json::parse(R"({"plan":[],"candidates":[]})")).find("No site"),
            std::string::npos);
}

TEST(RouteView, SurvivesAnswersThatAreNoExplanation) {
  for (const char* text :
       {"null", "[]", R"({"plan":3,"candidates":"x"})", R"({"candidates":[1]})"}) {
    EXPECT_FALSE(route_table(boost::json::parse(text)).render(false).empty());
  }
}

}  // namespace
}  // namespace perigee::cli
