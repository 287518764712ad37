#include "demo/link_model.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>

namespace perigee::demo {
namespace {

constexpr GeoPoint kBerlin{52.5200, 13.4050};
constexpr GeoPoint kParis{48.8566, 2.3522};

Instant at_ms(double ms) { return Instant{} + from_ms(ms); }

LinkQuality quality(double delay_ms, double jitter_ms, double bytes_per_s) {
  return {from_ms(delay_ms), from_ms(jitter_ms), bytes_per_s};
}

TEST(LinkModel, KnowsTheDistanceBetweenCities) {
  EXPECT_NEAR(great_circle_km(kBerlin, kParis), 877.5, 2.0);
  EXPECT_DOUBLE_EQ(great_circle_km(kBerlin, kBerlin), 0.0);
  EXPECT_NEAR(great_circle_km({0, 179}, {0, -179}), 222.4, 0.5);  // across the date line
  EXPECT_NEAR(great_circle_km({90, 0}, {-90, 0}), 20015, 1.0);
}

TEST(LinkModel, DelaysByDistanceInBothDirectionsAlike) {
  EXPECT_NEAR(to_ms(one_way_delay(kBerlin, kParis)), 0.5 + 877.5 * 1.7 / 200, 0.05);
  EXPECT_EQ(one_way_delay(kBerlin, kParis), one_way_delay(kParis, kBerlin));
  EXPECT_NEAR(to_ms(one_way_delay(kBerlin, kBerlin)), 0.5, 1e-9);
}

TEST(LinkModel, DeliversAfterTheDelay) {
  LinkModel link{quality(10, 0, 1e12), 1};
  EXPECT_EQ(link.arrival(1, at_ms(5)), at_ms(15));
}

TEST(LinkModel, SendsBytesOneAfterTheOtherAtItsBandwidth) {
  LinkModel link{quality(10, 0, 1000), 1};  // one byte a millisecond
  EXPECT_NEAR(to_ms(link.arrival(100, at_ms(0)).time_since_epoch()), 110, 1e-3);
  EXPECT_NEAR(to_ms(link.arrival(50, at_ms(0)).time_since_epoch()), 160, 1e-3);    // waits its turn
  EXPECT_NEAR(to_ms(link.arrival(50, at_ms(500)).time_since_epoch()), 560, 1e-3);  // free by then
}

TEST(LinkModel, NeverReordersUnderJitter) {
  LinkModel link{quality(10, 8, 1e9), 7};
  Instant last{};
  bool jittered = false;
  for (int i = 0; i < 2000; ++i) {
    const Instant now = at_ms(i * 0.1);
    const Instant arrival = link.arrival(10, now);
    ASSERT_GE(arrival, last);
    ASSERT_GE(arrival, now + from_ms(10));
    ASSERT_LE(arrival, now + from_ms(18.01));
    jittered = jittered || arrival > now + from_ms(12);
    last = arrival;
  }
  EXPECT_TRUE(jittered);
}

TEST(LinkModel, IsTheSameForTheSameSeed) {
  LinkModel a{quality(10, 8, 1e9), 7};
  LinkModel b{quality(10, 8, 1e9), 7};
  LinkModel c{quality(10, 8, 1e9), 8};
  EXPECT_EQ(a.arrival(10, at_ms(0)), b.arrival(10, at_ms(0)));
  EXPECT_NE(a.arrival(10, at_ms(100)), c.arrival(10, at_ms(100)));
}

TEST(LinkModel, HoldsBytesWhileCutAndReleasesThemADelayAfterTheHealing) {
  LinkModel link{quality(10, 0, 1e12), 1};
  const Instant arrival = link.arrival(1, at_ms(0));
  EXPECT_EQ(link.release(arrival), arrival);
  link.cut();
  EXPECT_TRUE(link.is_cut());
  EXPECT_EQ(link.release(arrival), std::nullopt);
  link.heal(at_ms(100));
  EXPECT_EQ(link.release(arrival), at_ms(110));
  EXPECT_EQ(link.release(link.arrival(1, at_ms(200))), at_ms(210));
}

TEST(LinkModel, HealingAWholeLinkDelaysNothing) {
  LinkModel link{quality(10, 0, 1e12), 1};
  link.heal(at_ms(100));
  EXPECT_EQ(link.release(at_ms(10)), at_ms(10));
}

TEST(LinkModel, SlowsAndRestores) {
  LinkModel link{quality(10, 0, 1e12), 1};
  link.slow(from_ms(40));
  EXPECT_EQ(link.arrival(1, at_ms(0)), at_ms(50));
  link.slow({});
  EXPECT_EQ(link.arrival(1, at_ms(0)), at_ms(50));  // behind the byte before
  EXPECT_EQ(link.arrival(1, at_ms(100)), at_ms(110));
}

TEST(LinkModel, FlipsOneBitInTheShareOfPiecesThatItIsToldTo) {
  LinkModel link{LinkQuality{}, 1};
  const std::string sent(64, 'a');
  std::size_t damaged = 0;
  const auto send = [&] {
    std::string piece = sent;
    link.damage(piece);
    int bits = 0;
    for (std::size_t i = 0; i < piece.size(); ++i) {
      bits += std::popcount(static_cast<unsigned char>(piece[i] ^ sent[i]));
    }
    EXPECT_LE(bits, 1);
    damaged += static_cast<std::size_t>(bits);
  };
  for (int i = 0; i < 1000; ++i) send();
  EXPECT_EQ(damaged, 0U);
  link.corrupt(0.25);
  for (int i = 0; i < 1000; ++i) send();
  EXPECT_NEAR(static_cast<double>(damaged), 250, 60);
  EXPECT_EQ(link.damaged(), damaged);
}

}  // namespace
}  // namespace perigee::demo
