#include "sqlite/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace perigee::sqlite {
namespace {

constexpr Database::Layout kLayout{.application_id = 0x50475431,
                                   .schema_version = 2,
                                   .schema = "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER)",
                                   .what = "test store"};

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest()
      : folder_(testing::TempDir() + "perigee-sqlite-" + std::to_string(::getpid()) + "-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }
  Result<Database> open(const Database::Layout& layout = kLayout) {
    return Database::open(path(), Durability::Full, layout);
  }
  std::string path() const { return folder_ + "/test.db"; }
  std::string folder_;
};

TEST_F(DatabaseTest, KeepsRowsOverAReopenInAPrivateFile) {
  {
    auto database = open();
    ASSERT_TRUE(database) << database.error().message;
    auto insert = database->prepare("INSERT INTO t VALUES (?1, ?2)");
    ASSERT_TRUE(insert);
    ASSERT_TRUE(insert->bind(1, "a\0b").bind(2, 7).run());
    ASSERT_TRUE(insert->bind(1, std::string_view{"c\0d", 3}).bind(2, 8).run());
  }
  auto database = open();
  ASSERT_TRUE(database) << database.error().message;
  auto select = database->prepare("SELECT k, n FROM t ORDER BY n DESC");
  ASSERT_TRUE(select->step().value());
  EXPECT_EQ(select->column_text(0), (std::string_view{"c\0d", 3}));
  EXPECT_EQ(select->column_int64(1), 8);
  struct stat facts{};
  ASSERT_EQ(::stat(path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(DatabaseTest, EmptyTextIsTextAndNotNull) {
  auto database = open();
  ASSERT_TRUE(database);
  auto select = database->prepare("SELECT ?1 IS NULL, ?2 IS NULL");
  ASSERT_TRUE(select);
  select->bind(1, std::string_view{}).bind_in_place(2, std::string_view{});
  ASSERT_TRUE(select->step().value());
  EXPECT_EQ(select->column_int64(0), 0);
  EXPECT_EQ(select->column_int64(1), 0);
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedLeavesNothing) {
  auto database = open();
  ASSERT_TRUE(database);
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database->execute("INSERT INTO t VALUES ('a', 1)"));
  }
  auto count = database->prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(count->step().value());
  EXPECT_EQ(count->column_int64(0), 0);
}

TEST_F(DatabaseTest, RefusesAFileOfAnotherLayoutOrProgram) {
  {
    ASSERT_TRUE(open());
  }
  Database::Layout newer = kLayout;
  newer.schema_version = 3;
  auto refused = open(newer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("written in layout 2, this program reads 3"),
            std::string::npos);
  Database::Layout other = kLayout;
  other.application_id = 1;
  refused = open(other);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not a Perigee test store"), std::string::npos);
}

TEST_F(DatabaseTest, SaysThatAFileIsDamaged) {
  std::ofstream{path()} << std::string(8192, 'x');
  auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::DataLoss);
  EXPECT_NE(refused.error().message.find(path()), std::string::npos);
}

TEST_F(DatabaseTest, SaysThatAFileIsLocked) {
  auto first = open();
  auto second = open();
  ASSERT_TRUE(first && second);
  auto held = Transaction::begin(*first);
  ASSERT_TRUE(held);
  auto refused = Transaction::begin(*second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
}

TEST_F(DatabaseTest, AnExclusiveFileHasOneProcess) {
  Database::Layout layout = kLayout;
  layout.exclusive = true;
  auto first = open(layout);
  ASSERT_TRUE(first) << first.error().message;
  auto refused = open(layout);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  EXPECT_NE(refused.error().message.find("locked by another process"), std::string::npos);
}

TEST_F(DatabaseTest, OpenedToReadShowsWhatIsCommittedAndChangesNothing) {
  EXPECT_EQ(Database::open_to_read(path(), kLayout).error().code, Code::NotFound);
  EXPECT_FALSE(std::filesystem::exists(path()));
  auto writer = open();
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->execute("INSERT INTO t VALUES ('a', 7)"));
  auto reader = Database::open_to_read(path(), kLayout);
  ASSERT_TRUE(reader) << reader.error().message;
  auto rows = reader->prepare("SELECT n FROM t");
  ASSERT_TRUE(rows);
  ASSERT_TRUE(rows->step().value());
  EXPECT_EQ(rows->column_int64(0), 7);
  EXPECT_FALSE(reader->execute("INSERT INTO t VALUES ('b', 8)"));
  Database::Layout newer = kLayout;
  newer.schema_version = 3;
  newer.upgrade = "CREATE TABLE u (k)";
  EXPECT_EQ(Database::open_to_read(path(), newer).error().code, Code::FailedPrecondition);
  EXPECT_FALSE(reader->prepare("SELECT k FROM u"));
}

TEST_F(DatabaseTest, SaysThatTheFolderIsMissing) {
  auto refused = Database::open(folder_ + "/none/x.db", Durability::Full, kLayout);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
}

}  // namespace
}  // namespace perigee::sqlite
