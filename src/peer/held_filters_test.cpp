#include "peer/held_filters.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};
const ModelId kModel{"m"};

class HeldFiltersTest : public testing::Test {
 protected:
  HeldFiltersTest() {
    CandidateState state;
    state.id = CandidateId{SiteId{"here"}, EngineId{"e"}, kModel};
    state.local = true;
    state.healthy = true;
    index_ = *router_.update(state, kStart);
  }

  void send(std::uint64_t first, std::uint64_t blocks, Instant now) {
    RouteRequest request;
    request.model = kModel;
    for (std::uint64_t i = 0; i < blocks; ++i) request.prefix_blocks.push_back(first + i);
    router_.finished(router_.started(index_, request, now), {}, now);
  }

  ModelDigest told(Instant now) {
    ModelDigest digest;
    digest.model = kModel;
    filters_.fill(digest, router_, now);
    return digest;
  }

  Router router_{RouterOptions{}};
  CandidateIndex index_ = 0;
  HeldFilters filters_{40};
};

TEST_F(HeldFiltersTest, SaysNothingBeforeThereIsSomething) {
  EXPECT_EQ(told(kStart).prefix_version, 0U);
  EXPECT_EQ(told(kStart).prefixes, nullptr);
}

TEST_F(HeldFiltersTest, ANewNumberComesWithEnoughNewBlocksOrAfterAWhile) {
  send(1, 100, kStart);
  const ModelDigest first = told(kStart);
  EXPECT_EQ(first.prefix_version, 40U);
  ASSERT_NE(first.prefixes, nullptr);
  EXPECT_TRUE(first.prefixes->contains(100));

  send(1000, 50, kStart);
  EXPECT_EQ(told(kStart + seconds{4}).prefix_version, 40U) << "not so soon";
  EXPECT_EQ(told(kStart + seconds{5}).prefix_version, 41U);
  send(2000, 5, kStart);
  EXPECT_EQ(told(kStart + seconds{10}).prefix_version, 41U) << "five of 150 are no news";
  EXPECT_EQ(told(kStart + seconds{35}).prefix_version, 42U) << "but after half a minute";
  EXPECT_EQ(told(kStart + seconds{70}).prefix_version, 42U) << "nothing new";
}

}  // namespace
}  // namespace perigee
