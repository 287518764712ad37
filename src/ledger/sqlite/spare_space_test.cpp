#include "ledger/sqlite/spare_space.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "ledger/sqlite/sqlite_ledger.h"

namespace perigee {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

class SpareSpaceTest : public testing::Test {
 protected:
  SpareSpaceTest()
      : folder_(testing::TempDir() + "perigee-spare-" + std::to_string(::getpid()) + "-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~SpareSpaceTest() override { std::filesystem::remove_all(folder_); }
  std::string file() const { return folder_ + "/usage.db.spare"; }
  // On the disk.
  std::uint64_t taken() const {
    struct stat now{};
    return ::stat(file().c_str(), &now) == 0 ? static_cast<std::uint64_t>(now.st_blocks) * 512 : 0;
  }
  std::string folder_;
};

TEST_F(SpareSpaceTest, HoldsLessWhereItHeldMore) {
  ASSERT_TRUE(SpareSpace{file()}.hold(4 * kMiB));
  EXPECT_GE(taken(), 4 * kMiB);
  ASSERT_TRUE(SpareSpace{file()}.hold(kMiB));
  EXPECT_EQ(std::filesystem::file_size(file()), kMiB);
  EXPECT_LT(taken(), 4 * kMiB);
}

TEST_F(SpareSpaceTest, HoldsNothingAndGivesNothingUpWhereNothingIsToBeHeld) {
  ASSERT_TRUE(SpareSpace{file()}.hold(kMiB));
  SpareSpace none{file()};
  EXPECT_TRUE(none.hold(0));
  EXPECT_FALSE(std::filesystem::exists(file()));
  EXPECT_TRUE(none.hold(0));  // there is no file any more
  EXPECT_FALSE(none.give_up());
}

TEST_F(SpareSpaceTest, ALedgerThatIsToHoldNoneFreesWhatTheLastOneHeld) {
  ASSERT_TRUE(SqliteLedger::open(folder_ + "/usage.db", {.spare_bytes = kMiB}));
  ASSERT_TRUE(std::filesystem::exists(file()));
  ASSERT_TRUE(SqliteLedger::open(folder_ + "/usage.db", {.spare_bytes = 0}));
  EXPECT_FALSE(std::filesystem::exists(file()));
}

}  // namespace
}  // namespace perigee
