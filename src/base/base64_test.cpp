#include "base/base64.h"
#include "base/base64url.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

TEST(Base64, WritesTheVectorsOfItsStandard) {
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64("f"), "Zg==");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64("foo"), "Zm9v");
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
}

TEST(Base64, ReadsBackWhatItWrote) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    bytes.push_back(static_cast<char>(i * 7));
  }
}

TEST(Base64, RefusesWhatItWouldNotWrite) {
  for (const std::string_view text :
       {"Z", "Zg", "Zg=", "Zg=a", "=g==", "Zh==", "Zm9=", "Zm-v", "Zm9v\n", "Zg==Zg=="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Base64Url, HasNoPaddingAndOneTextForTheSameBytes) {
  EXPECT_EQ(to_base64url("\xfb\xff\xfe"), "-__-");
  EXPECT_EQ(to_base64url("f"), "Zg");
  EXPECT_EQ(from_base64url("Zg"), "f");
  EXPECT_EQ(from_base64url("-__-"), "\xfb\xff\xfe");
  for (const std::string_view text : {"Zg==", "Zh", "Z", "+__-", "Zm9v\n", "Z===="}) {
    EXPECT_FALSE(from_base64url(text)) << text;
  }
}

}  // namespace
}  // namespace perigee
