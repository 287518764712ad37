#include "demo/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace perigee::demo {
namespace {

namespace fs = std::filesystem;

class StateFileTest : public testing::Test {
 protected:
  StateFileTest() : folder_(make_fresh_folder(fs::temp_directory_path()).value()) {}
  ~StateFileTest() override { fs::remove_all(folder_); }
  static mode_t mode(const std::string& path) {
    struct stat info{};
    ::stat(path.c_str(), &info);
    return info.st_mode & 0777;
  }
  std::string folder_;
};

TEST_F(StateFileTest, WritesAPrivateFileInAPrivateFolderAndRemovesIt) {
  const std::string runtime = folder_ + "/run";
  {
    const auto file = StateFile::claim(runtime).value();
    ASSERT_TRUE(file->write({{"pid", 1}}));
    ASSERT_TRUE(file->write({{"pid", 2}}));
    EXPECT_EQ(mode(runtime), 0700U);
    EXPECT_EQ(mode(runtime + "/demo.json"), 0600U);
    std::ifstream in{runtime + "/demo.json"};
    const std::string content{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_EQ(content, "{\"pid\":2}\n");
  }
  EXPECT_FALSE(fs::exists(runtime + "/demo.json"));
}

TEST_F(StateFileTest, LetsOneDemoRunPerFolderAndKeepsItsFile) {
  const auto first = StateFile::claim(folder_).value();
  ASSERT_TRUE(first->write({{"pid", 1}}));
  EXPECT_EQ(StateFile::claim(folder_).error().code, Code::FailedPrecondition);
  EXPECT_TRUE(fs::exists(folder_ + "/demo.json"));
}

TEST_F(StateFileTest, RemovesWhatAKilledDemoLeftBehindAndNothingElse) {
  const std::string left = make_fresh_folder(folder_).value();
  const std::string other = folder_ + "/other";
  fs::create_directory(other);
  fs::permissions(other, fs::perms::owner_all);
  for (const std::string& named : {left, other}) {
    ASSERT_TRUE(write_private_file(folder_ + "/demo.json", "{\"folder\":\"" + named + "\"}"));
    ASSERT_TRUE(StateFile::claim(folder_));
  }
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(StateFileTest, RefusesAFolderThatOthersCanOpen) {
  const std::string open = folder_ + "/open";
  fs::create_directory(open);
  fs::permissions(open, fs::perms::all);
  EXPECT_EQ(StateFile::claim(open).error().code, Code::FailedPrecondition);
}

}  // namespace
}  // namespace perigee::demo
