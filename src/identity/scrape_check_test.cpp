#include "identity/scrape_check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace perigee {
namespace {

const std::string kToken = "0123456789abcdef0123456789abcdef";

// Knows one key of each kind.
class ThreeKeys final : public Identity {
 public:
  Result<Caller> authenticate(std::string_view authorization) const override {
    Caller caller;
    if (authorization == "Bearer viewer")
      caller.role = Role::Operator;
    else if (authorization == "Bearer site")
      caller.role = Role::Site;
    else if (authorization != "Bearer tenant")
      return Error{Code::Unauthenticated, "unknown API key"};
    return caller;
  }
};

class ScrapeCheckTest : public testing::Test {
 protected:
  ScrapeCheckTest() {
    std::string made = (std::filesystem::temp_directory_path() / "perigee_XXXXXX").string();
    folder_ = ::mkdtemp(made.data());
  }
  ~ScrapeCheckTest() override { std::filesystem::remove_all(folder_); }
  std::string file_with(const std::string& text) const {
    const std::string path = folder_ + "/token";
    std::ofstream{path} << text;
    return path;
  }
  // nullopt: let in.
  std::optional<Code> code_of(const ScrapeCheck& check, std::string_view authorization) const {
    const auto checked = check.check(authorization, keys_);
    return checked ? std::nullopt : std::optional{checked.error().code};
  }
  std::string folder_;
  ThreeKeys keys_;
};

TEST_F(ScrapeCheckTest, OnLoopbackEverybodyMayUntilThereIsAToken) {
  EXPECT_EQ(code_of(ScrapeCheck{true}, ""), std::nullopt);
  const auto with_token = ScrapeCheck::make(true, file_with(kToken + "\n"));
  ASSERT_TRUE(with_token) << with_token.error().message;
  EXPECT_EQ(code_of(*with_token, ""), Code::Unauthenticated);
  EXPECT_EQ(code_of(*with_token, "Bearer " + kToken), std::nullopt);
}

TEST_F(ScrapeCheckTest, BeyondItTheTokenOrAnOperatorsKeyIsNeeded) {
  const auto check = ScrapeCheck::make(false, file_with(kToken));
  ASSERT_TRUE(check);
  EXPECT_EQ(code_of(*check, ""), Code::Unauthenticated);
  EXPECT_EQ(code_of(*check, "Bearer " + kToken), std::nullopt);
  EXPECT_EQ(code_of(*check, "bearer " + kToken), std::nullopt);
  EXPECT_EQ(code_of(*check, "Bearer " + kToken.substr(1)), Code::Unauthenticated);
  EXPECT_EQ(code_of(*check, "Bearer " + kToken + "0"), Code::Unauthenticated);
  EXPECT_EQ(code_of(*check, "Bearer "), Code::Unauthenticated);
  EXPECT_EQ(code_of(*check, "Basic " + kToken), Code::Unauthenticated);
  EXPECT_EQ(code_of(*check, "Bearer viewer"), std::nullopt);
  EXPECT_EQ(code_of(*check, "Bearer tenant"), Code::PermissionDenied);
  EXPECT_EQ(code_of(*check, "Bearer site"), Code::PermissionDenied);
}

TEST_F(ScrapeCheckTest, WithoutATokenNoEmptyOneIsTaken) {
  const ScrapeCheck check{false};
  EXPECT_EQ(code_of(check, ""), Code::Unauthenticated);
  EXPECT_EQ(code_of(check, "Bearer "), Code::Unauthenticated);
  EXPECT_EQ(code_of(check, "Bearer viewer"), std::nullopt);
}

TEST_F(ScrapeCheckTest, AFileThatHoldsNoTokenIsRefusedByName) {
  for (const std::string& text : {std::string{}, std::string{"\n"}, std::string{"short"},
                                  kToken + " " + kToken, std::string(2000, 'a')}) {
    const auto made = ScrapeCheck::make(false, file_with(text));
    ASSERT_FALSE(made) << text;
    EXPECT_EQ(made.error().code, Code::FailedPrecondition);
    EXPECT_EQ(made.error().param, "metrics_token_file");
    EXPECT_NE(made.error().message.find(folder_), std::string::npos) << made.error().message;
  }
  EXPECT_FALSE(ScrapeCheck::make(false, folder_ + "/none"));
}

}  // namespace
}  // namespace perigee
