#include "sim/prefix_cache.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/trace.h"

namespace perigee::sim {
namespace {

std::vector<std::uint64_t> chain(std::initializer_list<std::uint64_t> ids) { return ids; }

void use(PrefixCache& cache, PrefixCache::Blocks blocks) {
  const std::uint32_t hit = cache.match(blocks);
  cache.hold(blocks, hit);
  cache.extend(blocks, hit);
  cache.release(blocks, static_cast<std::uint32_t>(blocks.size()));
}

TEST(PrefixCache, MatchesAPrefixUpToTheFirstMiss) {
  PrefixCache cache;
  use(cache, chain({1, 2, 3}));
  EXPECT_EQ(cache.match(chain({1, 2, 4, 3})), 2U);
  EXPECT_EQ(cache.match(chain({2, 3})), 2U);
  EXPECT_EQ(cache.match(chain({9, 1})), 0U);
}

TEST(PrefixCache, EvictsTheEndOfTheOldestChainFirstAndNeverWhatIsHeld) {
  PrefixCache cache;
  use(cache, chain({1, 2, 3}));
  const auto held = chain({10, 11});
  cache.extend(held, 0);
  ASSERT_TRUE(cache.evict());
  EXPECT_EQ(cache.match(chain({1, 2, 3})), 2U);
  ASSERT_TRUE(cache.evict());
  ASSERT_TRUE(cache.evict());
  EXPECT_FALSE(cache.evict());
  EXPECT_EQ(cache.match(held), 2U);
  EXPECT_EQ(cache.size(), 2U);
}

TEST(PrefixCache, FindsItsBlocksAfterManyEvictions) {
  PrefixCache cache;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const auto one = chain({i * 7919});
    use(cache, one);
    while (cache.size() > 100) ASSERT_TRUE(cache.evict());
  }
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    EXPECT_EQ(cache.match(chain({i * 7919})), i >= 19'900 ? 1U : 0U) << i;
  }
}

// Published hit ratios of a least-recently-used cache under the conversation trace.
TEST(PrefixCache, HasThePublishedHitRatiosOfTheConversationTrace) {
  const auto trace = read_trace(PERIGEE_DATA "/traces/mooncake_conversation.csv");
  ASSERT_TRUE(trace) << trace.error().message;
  struct Row {
    std::uint64_t blocks;
    double hit;
  };
  for (const Row row : {Row{1'000, .044}, Row{3'000, .065}, Row{10'000, .211}, Row{30'000, .326},
                        Row{50'000, .355}, Row{10'000'000, .366}}) {
    PrefixCache cache;
    std::uint64_t hits = 0;
    for (const TraceRecord& record : (*trace)->records) {
      const PrefixCache::Blocks blocks{(*trace)->blocks.data() + record.first_block,
                                       record.block_count};
      const std::uint32_t hit = cache.match(blocks);
      hits += hit;
      cache.hold(blocks, hit);
      cache.extend(blocks, hit);
      cache.release(blocks, record.block_count, false);
      while (cache.size() > row.blocks) ASSERT_TRUE(cache.evict());
    }
    const double ratio = static_cast<double>(hits) / static_cast<double>((*trace)->blocks.size());
    EXPECT_NEAR(ratio, row.hit, 0.002) << row.blocks;
  }
}

}  // namespace
}  // namespace perigee::sim
