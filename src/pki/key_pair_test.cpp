#include "pki/key_pair.h"

#include <gtest/gtest.h>

#include "base/secret.h"

namespace perigee::pki {
namespace {

TEST(KeyPair, SignsSoThatOnlyThisMessageAndKeyVerify) {
  const KeyPair key = KeyPair::generate();
  const Signature signature = key.sign("head 7");
  EXPECT_TRUE(verify(key.public_key(), "head 7", signature));
  EXPECT_FALSE(verify(key.public_key(), "head 8", signature));
  EXPECT_FALSE(verify(KeyPair::generate().public_key(), "head 7", signature));
  Signature bent = signature;
  bent[10] ^= 1U;
  EXPECT_FALSE(verify(key.public_key(), "head 7", bent));
}

TEST(KeyPair, SurvivesItsPemForm) {
  const KeyPair key = KeyPair::generate();
  auto read = KeyPair::from_pem(key.to_pem());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->public_key(), key.public_key());
  EXPECT_EQ(read->sign("x"), key.sign("x"));
}

// RFC 8032, section 7.1, test 2.
TEST(KeyPair, SignsAsTheRfcsVector) {
  const char* pem =
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
      "-----END PRIVATE KEY-----\n";
  auto key = KeyPair::from_pem(pem);
  ASSERT_TRUE(key);
  EXPECT_EQ(to_hex(key->public_key()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_EQ(to_hex(key->sign("\x72")),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(KeyPair, RefusesWhatIsNoEd25519Key) {
  EXPECT_FALSE(KeyPair::from_pem(""));
  EXPECT_FALSE(KeyPair::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
  EXPECT_FALSE(KeyPair::from_pem(std::string(1 << 20, 'A')));
  const char* p256 =
      "-----BEGIN PRIVATE KEY-----\n"
      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnS9uH6E9Kq7oDCT7\n"
      "-----END PRIVATE KEY-----\n";
  auto refused = KeyPair::from_pem(p256);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  EXPECT_EQ(refused.error().message.find("nS9uH6"), std::string::npos);
}

}  // namespace
}  // namespace perigee::pki
