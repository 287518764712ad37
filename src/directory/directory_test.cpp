// What every Directory promises, run against each of them.
#include "directory/directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "directory/memory/memory_directory.h"
#include "directory/sqlite/sqlite_directory.h"

namespace perigee {
namespace {

constexpr DirectoryLimits kLimits{.history_max = 8};
constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

struct InMemory {
  std::unique_ptr<Directory> open() { return std::make_unique<MemoryDirectory>(kLimits); }
};

struct InSqlite {
  InSqlite()
      : folder(testing::TempDir() + "perigee-directory-" + std::to_string(::getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder);
  }
  ~InSqlite() { std::filesystem::remove_all(folder); }
  InSqlite(const InSqlite&) = delete;
  InSqlite& operator=(const InSqlite&) = delete;
  std::string path() const { return folder + "/directory.db"; }
  std::unique_ptr<Directory> open() {
    auto opened = SqliteDirectory::open(path(), kLimits);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::string folder;
};

template <class Store>
class DirectoryTest : public testing::Test {
 protected:
  Store store_;
  std::unique_ptr<Directory> directory_ = store_.open();
};
using Stores = testing::Types<InMemory, InSqlite>;
TYPED_TEST_SUITE(DirectoryTest, Stores);

std::vector<std::string> summary(const std::vector<DirectoryChange>& changes) {
  std::vector<std::string> lines;
  for (const DirectoryChange& change : changes) {
    lines.push_back(std::to_string(change.revision) + " " + change.kind + " " + change.key + " " +
                    change.value);
  }
  return lines;
}
using Lines = std::vector<std::string>;

TYPED_TEST(DirectoryTest, StartsEmptyAtRevisionZero) {
  EXPECT_EQ(this->directory_->revision(), 0U);
  EXPECT_TRUE(this->directory_->list()->empty());
  EXPECT_TRUE(this->directory_->since(0, kAll)->empty());
}

TYPED_TEST(DirectoryTest, ListsWhatLivesAndRemembersWhatChanged) {
  Directory& directory = *this->directory_;
  EXPECT_EQ(*directory.apply({{"site", "a", "{1}", 0}, {"site", "b", "{2}", 0}}), 1U);
  EXPECT_EQ(*directory.apply({{"site", "a", "{3}", 1}}), 2U);
  EXPECT_EQ(*directory.apply({{"site", "b", "", 1}}), 3U);
  EXPECT_EQ(summary(*directory.list()), (Lines{"2 site a {3}"}));
  EXPECT_EQ(summary(*directory.since(1, kAll)), (Lines{"2 site a {3}", "3 site b "}));
  EXPECT_EQ(directory.since(0, kAll)->size(), 4U);
}

TYPED_TEST(DirectoryTest, WritesAllRowsOrNone) {
  Directory& directory = *this->directory_;
  ASSERT_TRUE(directory.apply({{"site", "a", "{1}", 0}}));
  auto refused = directory.apply({{"site", "c", "{1}", 0}, {"site", "a", "{2}", 0}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::AlreadyExists);
  EXPECT_NE(refused.error().message.find("site a"), std::string::npos);
  EXPECT_EQ(directory.revision(), 1U);
  EXPECT_EQ(summary(*directory.list()), (Lines{"1 site a {1}"}));
  EXPECT_EQ(directory.since(0, kAll)->size(), 1U);
}

TYPED_TEST(DirectoryTest, RefusesALostUpdate) {
  Directory& directory = *this->directory_;
  ASSERT_TRUE(directory.apply({{"site", "a", "{1}", 0}}));
  ASSERT_TRUE(directory.apply({{"site", "a", "{2}", 1}}));
  EXPECT_EQ(directory.apply({{"site", "a", "{3}", 1}}).error().code, Code::FailedPrecondition);
  EXPECT_EQ(directory.apply({{"site", "z", "{3}", 1}}).error().code, Code::NotFound);
  EXPECT_TRUE(directory.apply({{"site", "a", "{3}", kAnyRevision}}));
}

TYPED_TEST(DirectoryTest, RefusesARowWrittenTwiceAtOnceAndNothingAtAll) {
  Directory& directory = *this->directory_;
  EXPECT_EQ(directory.apply({{"site", "a", "{1}", 0}, {"site", "a", "{2}", 0}}).error().code,
            Code::InvalidArgument);
  EXPECT_EQ(directory.apply({}).error().code, Code::InvalidArgument);
}

TYPED_TEST(DirectoryTest, SaysWhenHistoryIsCompactedOrAhead) {
  Directory& directory = *this->directory_;
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(directory.apply({{"site", "s" + std::to_string(i), "{}", 0}}));
  }
  EXPECT_EQ(directory.compacted(), 4U);
  EXPECT_EQ(directory.since(3, kAll).error().code, Code::FailedPrecondition);
  ASSERT_TRUE(directory.since(4, kAll));
  EXPECT_EQ(directory.since(4, kAll)->size(), 8U);
  EXPECT_EQ(directory.since(13, kAll).error().code, Code::FailedPrecondition);
  EXPECT_EQ(directory.list()->size(), 12U) << "rows outlive their history";
}

TYPED_TEST(DirectoryTest, GivesWhatChangedInPagesOfWholeRevisions) {
  Directory& directory = *this->directory_;
  ASSERT_TRUE(directory.apply({{"site", "a", "{1}", 0}}));
  ASSERT_TRUE(directory.apply({{"site", "b", "{2}", 0}, {"site", "c", "{3}", 0}}));
  ASSERT_TRUE(directory.apply({{"site", "a", "{4}", 1}}));
  EXPECT_EQ(directory.compacted(), 0U);
  EXPECT_EQ(summary(*directory.since(0, 0)), (Lines{"1 site a {1}"})) << "one revision at least";
  EXPECT_EQ(summary(*directory.since(1, 1)), (Lines{"2 site b {2}", "2 site c {3}"}));
  EXPECT_EQ(directory.since(0, 9)->size(), 3U) << "8 bytes leave room for another revision";
  EXPECT_EQ(summary(*directory.since(2, 1)), (Lines{"3 site a {4}"}));
  EXPECT_TRUE(directory.since(3, 1)->empty());
}

TYPED_TEST(DirectoryTest, ATransactionLargerThanTheHistoryLeavesAConsistentHistory) {
  std::vector<DirectoryWrite> writes;
  for (int i = 0; i < 20; ++i) writes.push_back({"key", std::to_string(i), "{}", 0});
  ASSERT_TRUE(this->directory_->apply(writes));
  EXPECT_FALSE(this->directory_->since(0, kAll));
  EXPECT_TRUE(this->directory_->since(1, kAll)->empty());
}

TEST(SqliteDirectory, KeepsRowsHistoryAndRevisionOverAReopen) {
  InSqlite store;
  {
    auto directory = store.open();
    for (int i = 0; i < 12; ++i) {
      ASSERT_TRUE(directory->apply({{"site", "s" + std::to_string(i), "{}", 0}}));
    }
  }
  auto directory = store.open();
  EXPECT_EQ(directory->revision(), 12U);
  EXPECT_EQ(directory->compacted(), 4U);
  EXPECT_EQ(directory->list()->size(), 12U);
  EXPECT_EQ(directory->since(4, kAll)->size(), 8U);
  EXPECT_FALSE(directory->since(3, kAll));
}

TEST(SqliteDirectory, BelongsToOneProcess) {
  InSqlite store;
  auto directory = store.open();
  auto second = SqliteDirectory::open(store.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Unavailable);
}

TEST(SqliteDirectory, SaysThatItsFileIsDamaged) {
  InSqlite store;
  {
    auto directory = store.open();
    std::vector<DirectoryWrite> writes;
    for (int i = 0; i < 2000; ++i) {
      writes.push_back({"site", "s" + std::to_string(i), std::string(100, 'x'), 0});
    }
    ASSERT_TRUE(directory->apply(writes));
  }
  std::fstream file{store.path(), std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(8192);
  file << std::string(40'000, '\xff');
  file.close();
  auto refused = SqliteDirectory::open(store.path());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::DataLoss) << refused.error().message;
}

}  // namespace
}  // namespace perigee
