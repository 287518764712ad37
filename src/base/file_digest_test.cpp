#include "base/file_digest.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace perigee {
namespace {

class FileDigestTest : public ::testing::Test {
 protected:
  FileDigestTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "digest-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    path = folder + "/model.gguf";
  }
  ~FileDigestTest() override { std::filesystem::remove_all(folder); }
  std::string folder;
  std::string path;
};

TEST_F(FileDigestTest, IsThatOfItsBytes) {
  const std::string bytes(3 * 1024 * 1024 + 17, 'x');
  std::ofstream{path} << bytes;
  EXPECT_EQ(sha256_of_file(path).value(), sha256(bytes));
  EXPECT_TRUE(check_file_digest(path, to_hex(sha256(bytes))));
}

TEST_F(FileDigestTest, RefusesAFileWithOneOtherBit) {
  std::ofstream{path} << "weighty";
  const auto refused = check_file_digest(path, to_hex(sha256("weights")));
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("is not the file that was meant"), std::string::npos);
  EXPECT_EQ(check_file_digest(path, "abc").error().code, Code::InvalidArgument);
}

TEST_F(FileDigestTest, TellsWhatCantBeReadAndStopsWhenAsked) {
  EXPECT_EQ(sha256_of_file(path).error().code, Code::NotFound);
  std::ofstream{path} << "weights";
  const std::atomic<bool> cancelled{true};
  EXPECT_EQ(sha256_of_file(path, &cancelled).error().code, Code::Cancelled);
}

}  // namespace
}  // namespace perigee
