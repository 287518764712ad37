#include "api/load.h"

#include <gtest/gtest.h>

#include <limits>

namespace perigee::api {
namespace {

TEST(Load, ReadsBackWhatItWrites) {
  const EngineLoad load{8, 3, 2, 120, 0.25, 4500.5, 0.9};
  EXPECT_EQ(format_load(load),
            "slots=8,busy=3,queued=2,queued_tokens=120,kv=0.25,prefill=4500.5,decode_ms=0.9");
  const auto read = parse_load(format_load(load));
  ASSERT_TRUE(read);
  EXPECT_EQ(format_load(*read), format_load(load));
}

TEST(Load, WritesNothingThatItWouldNotRead) {
  EngineLoad load;
  load.kv_used = 3;
  load.decode_ms = std::numeric_limits<double>::quiet_NaN();
  load.prefill_tokens_per_s = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(parse_load(format_load(load))) << format_load(load);
}

TEST(Load, IgnoresNamesOfANewerPeer) {
  const auto load = parse_load("slots=8,watts=200,mood=fine");
  ASSERT_TRUE(load);
  EXPECT_EQ(load->slots, 8u);
  EXPECT_TRUE(parse_load(""));
}

TEST(Load, RefusesMalformedNegativeAndAbsurdNumbers) {
  for (const char* text :
       {"slots", "slots=", "slots=-1", "slots=8x", "slots= 8", "slots=99999999999", "kv=1.5",
        "kv=nan", "kv=inf", "prefill=-3", "decode_ms=1e400", "slots=1,slots=2", "slots=1,,busy=2",
        ",", "queued_tokens=1e3"}) {
    EXPECT_FALSE(parse_load(text)) << text;
  }
  EXPECT_FALSE(parse_load(std::string(5000, 'x') + "=1"));
}

TEST(Usage, ReadsBackWhatItWrites) {
  const auto usage =
      parse_usage(format_usage({.prompt_tokens = 12, .completion_tokens = 40, .cached_tokens = 3}));
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->prompt_tokens, 12u);
  EXPECT_EQ(usage->cached_tokens, 3u);
  EXPECT_EQ(usage->completion_tokens, 40u);
}

TEST(Usage, RefusesMoreCachedThanPrompted) {
  EXPECT_FALSE(parse_usage("prompt=1,cached=2,completion=0"));
  EXPECT_FALSE(parse_usage("prompt=1,prompt=1"));
}

}  // namespace
}  // namespace perigee::api
