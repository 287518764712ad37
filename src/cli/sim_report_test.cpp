#include "cli/sim_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>

#include "cli/sim_json.h"

namespace perigee::cli {
namespace {

using testing::ElementsAre;

TEST(SimSweep, SplitsValuesAtCommas) {
  const auto sweep = parse_sweep("load=0.5,1,1.5");
  ASSERT_TRUE(sweep);
  EXPECT_EQ(sweep->key, "load");
  EXPECT_THAT(sweep->values, ElementsAre("0.5", "1", "1.5"));
}

TEST(SimSweep, KeepsListsAndTextTogether) {
  const auto sweep = parse_sweep(R"(site.engines=["a","2 x b"],["c"])");
  ASSERT_TRUE(sweep);
  EXPECT_THAT(sweep->values, ElementsAre(R"(["a","2 x b"])", R"(["c"])"));
}

TEST(SimSweep, RefusesWhatHasNoKeyOrAnEmptyValue) {
  for (const char* text : {"load", "=1,2", "load=", "load=1,,2", "load=1,"}) {
    EXPECT_FALSE(parse_sweep(text)) << text;
  }
}

TEST(SimJson, WritesNullForThePercentilesAndTheCostOfNothing) {
  const double none = std::nan("");
  sim::PolicyResult policy;
  policy.ttft_ms = {none, none, none};
  policy.cost_per_mtok = none;
  const boost::json::object json = policy_json(policy, true);
  EXPECT_TRUE(json.at("ttft_ms").at("p99").is_null());
  EXPECT_TRUE(json.at("cost_per_mtok").is_null());
  EXPECT_EQ(json.at("e2e_ms").at("p50").as_double(), 0);
}

}  // namespace
}  // namespace perigee::cli
