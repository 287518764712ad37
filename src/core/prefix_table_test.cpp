#include "core/prefix_table.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};

std::vector<CandidateIndex> holders(const PrefixTable& table, std::uint64_t block, Instant now) {
  std::vector<CandidateIndex> found;
  table.for_each_holder(
      block, now, [&](const PrefixTable::Holder& holder) { found.push_back(holder.candidate); });
  std::ranges::sort(found);
  return found;
}

std::vector<std::uint64_t> chain(std::uint64_t first, std::size_t blocks) {
  std::vector<std::uint64_t> hashes;
  for (std::size_t i = 0; i < blocks; ++i) hashes.push_back(first + i);
  return hashes;
}

TEST(PrefixTable, RemembersWhoWasSentWhat) {
  PrefixTable table{100, 1};
  table.insert(chain(1000, 3), 7, kStart);
  table.insert(chain(1000, 2), 9, kStart);
  EXPECT_EQ(holders(table, 1000, kStart), (std::vector<CandidateIndex>{7, 9}));
  EXPECT_EQ(holders(table, 1002, kStart), (std::vector<CandidateIndex>{7}));
  EXPECT_TRUE(holders(table, 1003, kStart).empty());
}

TEST(PrefixTable, ForgetsWhatWasNotSentForLong) {
  PrefixTable table{100, 1};
  table.insert(chain(1000, 1), 7, kStart);
  table.insert(chain(1000, 1), 9, kStart + seconds{300});
  EXPECT_EQ(holders(table, 1000, kStart + kPrefixMemory), (std::vector<CandidateIndex>{9}));
}

TEST(PrefixTable, NeverGrowsBeyondItsMaximum) {
  PrefixTable table{100, 1};
  for (std::uint64_t i = 0; i < 1000; ++i) table.insert(chain(i * 1000, 30), 1, kStart);
  EXPECT_EQ(table.size(), 100U);
  table.insert(chain(9'000'000, 5000), 1, kStart);
  EXPECT_EQ(table.size(), 100U);
  EXPECT_FALSE(holders(table, 9'000'000, kStart).empty());
}

TEST(PrefixTable, EvictsTheEndOfTheOldestChainFirst) {
  PrefixTable table{10, 1};
  table.insert(chain(100, 5), 1, kStart);
  table.insert(chain(200, 5), 1, kStart);
  table.insert(chain(100, 5), 1, kStart);  // touched: now the newer
  table.insert(chain(300, 2), 1, kStart);
  EXPECT_TRUE(holders(table, 204, kStart).empty());
  EXPECT_TRUE(holders(table, 203, kStart).empty());
  EXPECT_FALSE(holders(table, 202, kStart).empty());
  EXPECT_FALSE(holders(table, 104, kStart).empty());
}

TEST(PrefixTable, KeepsTheNewestHoldersOfABlock) {
  PrefixTable table{10, 1};
  for (CandidateIndex i = 0; i < 20; ++i) table.insert(chain(5, 1), i, kStart + seconds{i});
  const std::vector<CandidateIndex> kept = holders(table, 5, kStart + seconds{20});
  EXPECT_EQ(kept, (std::vector<CandidateIndex>{12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(PrefixTable, WorksAtAMaximumOfOne) {
  PrefixTable table{1, 1};
  table.insert(chain(1, 3), 4, kStart);
  EXPECT_EQ(table.size(), 1U);
  table.insert(chain(50, 1), 4, kStart);
  EXPECT_TRUE(holders(table, 1, kStart).empty());
  EXPECT_FALSE(holders(table, 50, kStart).empty());
}

}  // namespace
}  // namespace perigee
