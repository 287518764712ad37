#include "engine/server/weights_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/secret.h"
#include "pki/key_pair.h"

namespace perigee::engine_server {
namespace {

using ::testing::HasSubstr;

// RFC 8032, section 7.1, test 2, as `openssl pkey` writes it.
constexpr std::string_view kPrivate =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
    "-----END PRIVATE KEY-----\n";
constexpr std::string_view kPublic =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
    "-----END PUBLIC KEY-----\n";

class WeightsCheckTest : public ::testing::Test {
 protected:
  WeightsCheckTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weights-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    write("model.gguf", "weights");
    write("key.pem", kPublic);
    sign(to_hex(sha256("weights")));
    trust.public_key = path("key.pem");
  }
  ~WeightsCheckTest() override { std::filesystem::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream{path(name), std::ios::binary} << text;
  }
  void sign(std::string_view text) const {
    const auto signature = pki::KeyPair::from_pem(kPrivate)->sign(text);
    write("model.gguf.sig", {reinterpret_cast<const char*>(signature.data()), signature.size()});
  }
  std::string failure() const {
    const auto checked = check_weights(path("model.gguf"), trust);
    return checked ? "" : checked.error().message;
  }

  std::string folder;
  WeightsTrust trust;
};

TEST_F(WeightsCheckTest, TakesWhatTheKeySigned) { EXPECT_EQ(failure(), ""); }

TEST_F(WeightsCheckTest, RefusesWeightsThatWereChanged) {
  write("model.gguf", "weighty");
  EXPECT_THAT(failure(), HasSubstr("model.gguf is not the file that was signed"));
  EXPECT_THAT(failure(), HasSubstr(to_hex(sha256("weighty"))));
}

TEST_F(WeightsCheckTest, RefusesASignatureOverSomethingElseOrByAnother) {
  sign(to_hex(sha256("weights")) + "\n");
  EXPECT_THAT(failure(), HasSubstr("is not the file that was signed"));
  const auto other = pki::KeyPair::generate().sign(to_hex(sha256("weights")));
  write("model.gguf.sig", {reinterpret_cast<const char*>(other.data()), other.size()});
  EXPECT_THAT(failure(), HasSubstr("or not by the owner of " + path("key.pem")));
}

// A signature that is missing is no reason to load: whoever swaps the file would remove it.
TEST_F(WeightsCheckTest, RefusesWeightsWithoutASignature) {
  std::filesystem::remove(path("model.gguf.sig"));
  EXPECT_THAT(failure(), HasSubstr("model.gguf is not signed: can't read"));
  for (const std::size_t size : {0UL, 63UL, 65UL, 100'000UL}) {
    write("model.gguf.sig", std::string(size, 's'));
    EXPECT_THAT(failure(), HasSubstr("it must be the 64 bytes of an Ed25519 signature"));
  }
}

TEST_F(WeightsCheckTest, RefusesAKeyThatIsNone) {
  write("key.pem", "no key");
  EXPECT_THAT(failure(), HasSubstr("key.pem: no public key in PEM form was found"));
  write("key.pem", kPrivate);
  EXPECT_THAT(failure(), HasSubstr("no public key in PEM form was found"));
  trust.public_key = path("missing.pem");
  EXPECT_THAT(failure(), HasSubstr("can't read " + path("missing.pem")));
}

TEST_F(WeightsCheckTest, TakesTheSignatureFromWhereItIsSaid) {
  std::filesystem::rename(path("model.gguf.sig"), path("elsewhere"));
  trust.signature = path("elsewhere");
  EXPECT_EQ(failure(), "");
}

TEST_F(WeightsCheckTest, HoldsToTheDigestToo) {
  trust.sha256 = to_hex(sha256("weights"));
  EXPECT_EQ(failure(), "");
  trust.sha256 = to_hex(sha256("other"));
  EXPECT_THAT(failure(), HasSubstr("is not the file that was meant"));
  trust.public_key.clear();
  EXPECT_THAT(failure(), HasSubstr("is not the file that was meant"));
  trust.sha256.clear();
  EXPECT_EQ(failure(), "");
}

}  // namespace
}  // namespace perigee::engine_server
