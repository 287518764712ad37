#include "gateway/cache_salt.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

TEST(CacheSaltTable, GivesWhatIsComputedAnew) {
  CacheSaltTable salts;
  for (int round = 0; round < 2; ++round) {
    for (const char* grid : {"g", "h"}) {
      for (const char* tenant : {"a", "b", ""}) {
        EXPECT_EQ(salts.find(grid, TenantId{tenant}), cache_salt(grid, TenantId{tenant}));
        EXPECT_EQ(salts.find(grid, TenantId{tenant}), cache_salt(grid, TenantId{tenant}));
      }
    }
  }
}

TEST(CacheSaltTable, HoldsABoundedNumber) {
  CacheSaltTable salts;
  for (std::size_t i = 0; i < 2 * CacheSaltTable::kSaltsMax + 5; ++i) {
    const TenantId tenant{"t" + std::to_string(i)};
    EXPECT_EQ(salts.find("g", tenant), cache_salt("g", tenant));
    EXPECT_LE(salts.size(), CacheSaltTable::kSaltsMax);
  }
}

}  // namespace
}  // namespace perigee
