// Heads of a site whose certificate is for a key of another kind than Ed25519.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pki/any_key.h"
#include "proof/evidence.h"
#include "proof/test_receipt.h"

namespace perigee::proof {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// An operator's authority and what it gave to spiffe://acme/site/metro-berlin, made by OpenSSL with
// ECDSA keys (P-256), valid from 2026-11-29 to 2036-11-26.
constexpr std::string_view kAuthority =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBlDCCATmgAwIBAgIUYzpLp6cgGkGxUm8WnlwhnIf+7VEwCgYIKoZIzj0EAwIw\n"
    "FzEVMBMGA1UEAwwMT3BlcmF0b3IgUEtJMB4XDTI2MTEyOTA3MDg0NFoXDTQ2MTEy\n"
    "NDA3MDg0NFowFzEVMBMGA1UEAwwMT3BlcmF0b3IgUEtJMFkwEwYHKoZIzj0CAQYI\n"
    "KoZIzj0DAQcDQgAEWZZhY+y9BwL6RUGaXO8y8+Y42+o2rr4wfz0l3bJCGKK+Wjj3\n"
    "jBu8tT7U1PEb5XsCX/7UxgEoAAE3qSrIPUsM0aNjMGEwHQYDVR0OBBYEFN8cMnCy\n"
    "Opuk8p9NviClnnOWhN6nMB8GA1UdIwQYMBaAFN8cMnCyOpuk8p9NviClnnOWhN6n\n"
    "MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMAoGCCqGSM49BAMCA0kA\n"
    "MEYCIQCyHR2RO7umiRVCGLLqqxdrdpafUnwEg/uHtaUT/tz1PAIhAJqELSHpzzPS\n"
    "G3Q2ilBXzhDaxdUhAm0KjTF7onTrTC2r\n"
    "-----END CERTIFICATE-----\n";
constexpr std::string_view kCertificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB3TCCAYOgAwIBAgIULetGasEnjXsiZEAfzFsgJiPHNxMwCgYIKoZIzj0EAwIw\n"
    "FzEVMBMGA1UEAwwMT3BlcmF0b3IgUEtJMB4XDTI2MTEyOTA3MDg0NFoXDTM2MTEy\n"
    "NjA3MDg0NFowFzEVMBMGA1UEAwwMbWV0cm8tYmVybGluMFkwEwYHKoZIzj0CAQYI\n"
    "KoZIzj0DAQcDQgAEhmoLIsjuf/IoDCbDIMD/b10OLYoyauIKpLn2/VBkuhmARfnK\n"
    "59lisOMlrLeoj4KZ33q8kr5Z7IE7yRPNJVGEcKOBrDCBqTAMBgNVHRMBAf8EAjAA\n"
    "MA4GA1UdDwEB/wQEAwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIw\n"
    "KgYDVR0RBCMwIYYfc3BpZmZlOi8vYWNtZS9zaXRlL21ldHJvLWJlcmxpbjAdBgNV\n"
    "HQ4EFgQU8RVwBvLlu4yVltjoVFqr9EnEpPAwHwYDVR0jBBgwFoAU3xwycLI6m6Ty\n"
    "n02+IKWec5aE3qcwCgYIKoZIzj0EAwIDSAAwRQIgbHutiUS8NSM0dmxKjhtsimL0\n"
    "YaCE+7jB6KcQly4KpUQCIQCLmTqUfoWrEKxt3wv/AOH5veMDuJkpDpVYYvs2owR0\n"
    "sw==\n"
    "-----END CERTIFICATE-----\n";
constexpr std::string_view kKey =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEvr84c8ToyOJyEoi\n"
    "pIUiE5lrHQT/FUn53uSll13IXYahRANCAASGagsiyO5/8igMJsMgwP9vXQ4tijJq\n"
    "4gqkufb9UGS6GYBF+crn2WKw4yWst6iPgpnferySvlnsgTvJE80lUYRw\n"
    "-----END PRIVATE KEY-----\n";
constexpr std::string_view kSite = "spiffe://acme/site/metro-berlin";
constexpr WallTime kValid{1800000000000000};  // 2027-01-15

class VouchedKeyTest : public ::testing::Test {
 protected:
  VouchedKeyTest() {
    sign_at(kValid);
    evidence.head.certificates = {std::string{kCertificate}};
    evidence.head.key_signature = vouch(kSite, key);
  }
  void sign_at(WallTime time) {
    const auto head = parse_head(evidence.head.note);
    evidence.head.note = sign_head(head->origin, head->tree, time, key);
  }
  static std::string vouch(std::string_view site, const pki::KeyPair& key) {
    return pki::sign_with(kKey, head_key_statement(site, key.public_key())).value();
  }
  std::string failure() const {
    const auto read = parse_receipt_evidence(to_json(evidence));
    if (!read) return read.error().message;
    const auto verified = verify(*read, trust);
    return verified ? "" : verified.error().message;
  }

  pki::KeyPair key = pki::KeyPair::generate();
  CertificateTrust trust{pki::certificates_from_pem(kAuthority).value()};
  ReceiptEvidence evidence = TestLog{100}.evidence(42, 77, key);
};

TEST_F(VouchedKeyTest, IsBelievedForItsSiteWhileTheCertificateIsValid) {
  EXPECT_EQ(failure(), "");
  sign_at(WallTime{2130000000000000});  // 2037
  EXPECT_THAT(failure(), StartsWith("wrong certificate: the certificate of spiffe://acme/site/"
                                    "metro-berlin expired"));
}

TEST_F(VouchedKeyTest, IsNotBelievedWithoutTheVoucher) {
  evidence.head.key_signature.clear();
  EXPECT_THAT(failure(), HasSubstr("is not Ed25519 and vouches for no key that is"));
}

TEST_F(VouchedKeyTest, IsNotBelievedForAnotherKeyOrSite) {
  evidence.head.key_signature = vouch(kSite, pki::KeyPair::generate());
  EXPECT_THAT(failure(), HasSubstr("does not vouch for the key of the head"));
  evidence.head.key_signature = vouch("spiffe://acme/site/metro-paris", key);
  EXPECT_THAT(failure(), HasSubstr("does not vouch for the key of the head"));
  evidence.head.key_signature = vouch(kSite, key);
  evidence.head.key_signature[9] ^= 1;
  EXPECT_THAT(failure(), HasSubstr("does not vouch for the key of the head"));
}

// Who swaps the key that is told must have it vouched for, too; the voucher signs no heads.
TEST_F(VouchedKeyTest, TellsAHeadThatTheVouchedKeyDidNotSign) {
  const auto head = parse_head(evidence.head.note);
  evidence.head.note = sign_head(head->origin, head->tree, kValid, pki::KeyPair::generate());
  EXPECT_THAT(failure(), StartsWith("tampered head"));
}

TEST_F(VouchedKeyTest, RefusesASignatureThatIsNoBase64) {
  const std::string json = to_json(evidence);
  const std::string field = R"("key_signature":")";
  std::string changed = json;
  changed.insert(changed.find(field) + field.size(), "!");
  EXPECT_EQ(parse_receipt_evidence(changed).error().param, "key_signature");
}

}  // namespace
}  // namespace perigee::proof
