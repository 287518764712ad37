#include "sim/report/scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace perigee::sim {
namespace {

using testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(ReportScale, EndsLinearScalesAtRoundNumbers) {
  const Scale scale = Scale::linear(0, 9.3, 0, 100);
  EXPECT_THAT(scale.ticks(), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_DOUBLE_EQ(scale.at(5), 50);
}

TEST(ReportScale, EndsLogScalesAtOneTwoFive) {
  const Scale scale = Scale::logarithmic(23, 480, 0, 1);
  EXPECT_DOUBLE_EQ(scale.low(), 20);
  EXPECT_DOUBLE_EQ(scale.high(), 500);
  EXPECT_EQ(scale.ticks().size(), 5U);  // 20 50 100 200 500
}

TEST(ReportScale, IsFiniteForEveryInput) {
  for (const double low : {0.0, 5.0, -3.0, 1e300, kNan, kInf, -kInf}) {
    for (const double high : {0.0, 5.0, 1e-9, 1e300, kNan, kInf, -kInf}) {
      for (const Scale& scale :
           {Scale::linear(low, high, 10, 20), Scale::logarithmic(low, high, 10, 20)}) {
        EXPECT_LE(scale.ticks().size(), 40U) << low << ' ' << high;
        for (const double value : {0.0, 7.0, -1.0, kNan, kInf, -kInf}) {
          EXPECT_GE(scale.at(value), 10) << low << ' ' << high << ' ' << value;
          EXPECT_LE(scale.at(value), 20) << low << ' ' << high << ' ' << value;
        }
      }
    }
  }
}

TEST(ReportScale, HoldsASingleValue) {
  const Scale scale = Scale::linear(42, 42, 0, 1);
  EXPECT_TRUE(std::isfinite(scale.at(42)));
  EXPECT_LT(scale.low(), scale.high());
}

}  // namespace
}  // namespace perigee::sim
