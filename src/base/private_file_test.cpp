#include "base/private_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <string>

namespace perigee {
namespace {

class PrivateFile : public testing::Test {
 protected:
  PrivateFile() {
    std::string made = (std::filesystem::temp_directory_path() / "perigee_XXXXXX").string();
    folder_ = ::mkdtemp(made.data());
  }
  ~PrivateFile() override { std::filesystem::remove_all(folder_); }
  static mode_t mode_of(const std::string& path) {
    struct stat found{};
    return ::stat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
  }
  std::string folder_;
};

TEST_F(PrivateFile, AFolderIsMadeWithItsParentsForItsOwnerAlone) {
  ASSERT_TRUE(make_private_folder(folder_ + "/a/b"));
  EXPECT_EQ(mode_of(folder_ + "/a/b"), 0700U);
}

TEST_F(PrivateFile, AnEmptyFolderThatOthersCouldReadIsShutToThem) {
  const std::string open = folder_ + "/open";
  ASSERT_TRUE(std::filesystem::create_directory(open));
  ASSERT_EQ(::chmod(open.c_str(), 0755), 0);
  ASSERT_TRUE(make_private_folder(open));
  EXPECT_EQ(mode_of(open), 0700U);
  EXPECT_TRUE(make_private_folder(open)) << "again is no harm";
}

TEST_F(PrivateFile, AFolderThatIsInUseKeepsItsMode) {
  const std::string used = folder_ + "/used";
  ASSERT_TRUE(std::filesystem::create_directories(used + "/of_another_program"));
  ASSERT_EQ(::chmod(used.c_str(), 0755), 0);
  EXPECT_TRUE(make_private_folder(used));
  EXPECT_EQ(mode_of(used), 0755U);
}

TEST_F(PrivateFile, AFolderThatAllShareIsNotTakenFromThem) {
  const std::string shared = folder_ + "/shared";
  ASSERT_TRUE(std::filesystem::create_directory(shared));
  ASSERT_EQ(::chmod(shared.c_str(), 01777), 0);
  const auto made = make_private_folder(shared);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::FailedPrecondition);
  EXPECT_EQ(mode_of(shared), 01777U);
}

TEST_F(PrivateFile, WhereAFileStandsNoFolderIsMade) {
  ASSERT_TRUE(create_private_file(folder_ + "/file", "text"));
  EXPECT_FALSE(make_private_folder(folder_ + "/file"));
  EXPECT_FALSE(make_private_folder(folder_ + "/file/below"));
}

// As on a full disk. What was written of it would hold the room that others need.
TEST_F(PrivateFile, AReplacementThatFoundNoRoomLeavesNothingOfItself) {
  const std::string path = folder_ + "/file";
  ASSERT_TRUE(replace_private_file(path, "old"));
  rlimit former{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &former), 0);
  const rlimit small{1 << 20, former.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto replaced = replace_private_file(path, std::string(std::size_t{2} << 20, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &former), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(replaced);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_EQ(read_private_file(path, 100).value(), "old");
}

}  // namespace
}  // namespace perigee
