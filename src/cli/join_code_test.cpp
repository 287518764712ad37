#include "cli/join_code.h"

#include <gtest/gtest.h>

#include "base/base64url.h"
#include "identity/key_text.h"

namespace perigee::cli {
namespace {

JoinCode full() {
  JoinCode code;
  code.token = make_key(KeyKind::JoinToken);
  code.control_url = "https://10.0.0.1:7000";
  code.ca_sha256 = std::string(64, 'a');
  code.name = "metro-leipzig";
  code.facts = {"https://10.0.0.7:8100", "metro", "de", 51.34, 12.37, "Leipzig"};
  return code;
}

TEST(JoinCode, SaysAllThatWasPutIn) {
  const JoinCode code = full();
  const auto read = parse_join_code(to_string(code));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->token, code.token);
  EXPECT_EQ(read->control_url, code.control_url);
  EXPECT_EQ(read->ca_sha256, code.ca_sha256);
  EXPECT_EQ(read->name, code.name);
  EXPECT_EQ(read->facts.url, code.facts.url);
  EXPECT_EQ(read->facts.tier, "metro");
  EXPECT_EQ(read->facts.jurisdiction, "de");
  EXPECT_EQ(read->facts.latitude, 51.34);
  EXPECT_EQ(read->facts.longitude, 12.37);
  EXPECT_EQ(read->facts.city, "Leipzig");
}

TEST(JoinCode, WhatIsNotKnownIsLeftOut) {
  JoinCode code;
  code.token = make_key(KeyKind::JoinToken);
  code.name = "cell-a";
  const auto read = parse_join_code(to_string(code));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->name, "cell-a");
  EXPECT_TRUE(read->facts.url.empty());
  EXPECT_FALSE(read->facts.latitude.has_value());
}

TEST(JoinCode, ATokenAloneIsACode) {
  const std::string token = make_key(KeyKind::JoinToken);
  const auto read = parse_join_code(token);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->token, token);
  EXPECT_TRUE(read->name.empty());
}

TEST(JoinCode, WhatIsCutOrForeignIsRefused) {
  const std::string whole = to_string(full());
  const std::string token = whole.substr(0, whole.find('.'));
  for (const std::string& wrong :
       {std::string{}, std::string{"."}, token.substr(1), whole.substr(0, whole.size() - 1),
        token + ".", token + "." + to_base64url("[]"), token + "." + to_base64url("{\"name\":1}"),
        token + "." + to_base64url("{\"latitude\":91}"), make_key(KeyKind::Tenant),
        token + "." + std::string(kJoinCodeBytesMax, 'A')}) {
    EXPECT_FALSE(parse_join_code(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace perigee::cli
