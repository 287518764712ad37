#include "cli/sim_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace perigee::cli
