#include "pki/any_key.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "pki/key_pair.h"
#include "pki/openssl_handles.h"

namespace perigee::pki {
namespace {

struct Holder {
  std::string key_pem;
  Certificate certificate;
};

// With a certificate that says nothing but the key.
Holder holder_of(EVP_PKEY* generated) {
  const KeyPtr key{generated};
  const BioPtr pem = writer();
  PEM_write_bio_PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  const CertificatePtr certificate{X509_new()};
  X509_set_pubkey(certificate.get(), key.get());
  return {written(*pem), Certificate{certificate.get()}};
}

TEST(AnyKey, SignsSoThatOnlyThisMessageAndKeyVerify) {
  const Holder other = holder_of(EVP_EC_gen("P-256"));
  for (EVP_PKEY* key : {EVP_EC_gen("P-256"), EVP_EC_gen("P-384"), EVP_RSA_gen(2048),
                        EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448")}) {
    const Holder holder = holder_of(key);
    const auto signature = sign_with(holder.key_pem, "a statement");
    ASSERT_TRUE(signature) << signature.error().message;
    EXPECT_TRUE(signed_with(holder.certificate, "a statement", *signature));
    EXPECT_FALSE(signed_with(holder.certificate, "another statement", *signature));
    EXPECT_FALSE(signed_with(other.certificate, "a statement", *signature));
    std::string bent = *signature;
    bent[bent.size() / 2] ^= 1;
    EXPECT_FALSE(signed_with(holder.certificate, "a statement", bent));
    EXPECT_FALSE(signed_with(holder.certificate, "a statement", ""));
  }
}

TEST(AnyKey, RefusesKeysThatAreTooWeakOrNone) {
  const Holder weak = holder_of(EVP_RSA_gen(1024));
  EXPECT_EQ(sign_with(weak.key_pem, "x").error().message,
            "the private key must be Ed25519, ECDSA, RSA of 2048 bits or more, or Ed448");
  EXPECT_FALSE(sign_with("", "x"));
  EXPECT_FALSE(sign_with("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "x"));
}

}  // namespace
}  // namespace perigee::pki
