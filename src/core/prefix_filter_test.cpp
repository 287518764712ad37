#include "core/prefix_filter.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace perigee {
namespace {

std::vector<std::uint64_t> blocks(std::uint64_t seed, std::size_t count) {
  Random random{seed};
  std::vector<std::uint64_t> hashes(count);
  for (std::uint64_t& hash : hashes) hash = random.next();
  return hashes;
}

PrefixFilter filter_of(const std::vector<std::uint64_t>& hashes, std::uint32_t room) {
  PrefixFilter filter{room};
  for (const std::uint64_t hash : hashes) filter.insert(hash);
  return filter;
}

double wrongly_held(const PrefixFilter& filter) {
  constexpr std::size_t kAsked = 200'000;
  std::size_t held = 0;
  for (const std::uint64_t hash : blocks(99, kAsked)) held += filter.contains(hash) ? 1U : 0U;
  return static_cast<double>(held) / kAsked;
}

TEST(PrefixFilter, HoldsAllThatWasInserted) {
  const auto held = blocks(1, 5000);
  const PrefixFilter filter = filter_of(held, 100);  // far too small
  for (const std::uint64_t hash : held) EXPECT_TRUE(filter.contains(hash));
}

TEST(PrefixFilter, IsAsOftenWrongAsItsHeaderSays) {
  constexpr std::uint32_t kRoom = 32'768;  // 8 bits per block
  EXPECT_EQ(PrefixFilter{kRoom}.bytes(), PrefixFilter::kHeaderBytes + kRoom);
  for (const auto& [bits, rate] :
       std::vector<std::pair<double, double>>{{6, 0.058}, {8, 0.026}, {12, 0.007}, {16, 0.003}}) {
    const auto count = static_cast<std::size_t>(8 * kRoom / bits);
    const PrefixFilter filter = filter_of(blocks(2, count), kRoom);
    EXPECT_NEAR(wrongly_held(filter), rate, rate * 0.15) << bits;
    EXPECT_NEAR(filter.false_positive_rate(), rate, rate * 0.15) << bits;
  }
}

TEST(PrefixFilter, HasEightToSixteenBitsPerBlock) {
  for (std::uint32_t room = 32; room < 300'000; room = room * 5 / 4) {
    const double bits =
        8.0 * static_cast<double>(PrefixFilter{room}.bytes() - PrefixFilter::kHeaderBytes) / room;
    EXPECT_LT(bits, 16.1) << room;
    if (room <= 262'144) {
      EXPECT_GE(bits, 8) << room;
    }
  }
  EXPECT_EQ(PrefixFilter{0xffff'ffff}.bytes(), PrefixFilter::kBytesMax);
  EXPECT_EQ(PrefixFilter{0}.bytes(), PrefixFilter::kHeaderBytes + 32);
}

TEST(PrefixFilter, MatchesAChainFromItsStart) {
  const auto chain = blocks(3, 100);
  PrefixFilter filter{1000};
  for (std::size_t i = 0; i < 60; ++i) filter.insert(chain[i]);
  for (std::size_t i = 80; i < 100; ++i) filter.insert(chain[i]);
  EXPECT_EQ(filter.matched(chain), 60U);
  EXPECT_EQ(filter.matched({}), 0U);
  EXPECT_EQ(filter.matched(blocks(4, 100)), 0U);
}

TEST(PrefixFilter, MergesFiltersOfAnySizes) {
  const auto one = blocks(5, 1000);
  const auto two = blocks(6, 3000);
  for (const auto& [room_one, room_two] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {4000, 4000}, {4000, 32'000}, {32'000, 4000}}) {
    PrefixFilter merged = filter_of(one, room_one);
    merged.merge(filter_of(two, room_two));
    PrefixFilter together{std::min(room_one, room_two)};
    for (const std::uint64_t hash : one) together.insert(hash);
    for (const std::uint64_t hash : two) together.insert(hash);
    EXPECT_EQ(merged, together);
  }
}

TEST(PrefixFilter, TravelsAsBytes) {
  const PrefixFilter filter = filter_of(blocks(7, 777), 1000);
  const std::string bytes = filter.encode();
  EXPECT_EQ(bytes.size(), filter.bytes());
  const auto parsed = PrefixFilter::parse(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, filter);
  EXPECT_EQ(bytes.substr(0, 12), std::string("PF\1\1\5\0\0\0\x09\x03\0\0", 12));
}

TEST(PrefixFilter, RefusesWhatIsNotOneAndSaysWhy) {
  const std::string good = filter_of(blocks(8, 50), 100).encode();
  ASSERT_TRUE(PrefixFilter::parse(good));
  const auto refused = [](const std::string& bytes, const std::string& word) {
    const auto parsed = PrefixFilter::parse(bytes);
    return !parsed && parsed.error().code == Code::Protocol &&
           parsed.error().message.find(word) != std::string::npos;
  };
  EXPECT_TRUE(refused("", "not one"));
  EXPECT_TRUE(refused(good.substr(0, 11), "not one"));
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1), "bytes"));
  EXPECT_TRUE(refused(good + "x", "bytes"));
  const auto with = [&](std::size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    return bad;
  };
  EXPECT_TRUE(refused(with(0, 'Q'), "not one"));
  EXPECT_TRUE(refused(with(2, 2), "version"));
  EXPECT_TRUE(refused(with(3, 2), "hashed"));
  EXPECT_TRUE(refused(with(4, 14), "larger"));
  EXPECT_TRUE(refused(with(4, -1), "larger"));
  EXPECT_TRUE(refused(with(6, 1), "reserved"));
  EXPECT_TRUE(refused(good.substr(0, 12) + std::string(good.size() - 12, '\xff'), "full"));
}

TEST(PrefixFilter, SurvivesAnyBytes) {
  Random random{9};
  const std::string good = filter_of(blocks(8, 50), 100).encode();
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good.substr(0, random.below(good.size() + 1));
    for (std::uint64_t k = random.below(6); k > 0 && !bytes.empty(); --k) {
      bytes[random.below(std::min<std::size_t>(bytes.size(), 16))] =
          static_cast<char>(random.below(256));
    }
    const auto parsed = PrefixFilter::parse(bytes);
    if (parsed) {
      EXPECT_EQ(parsed->encode(), bytes);
    }
  }
}

}  // namespace
}  // namespace perigee
