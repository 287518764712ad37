#include "identity/bearer_tokens/token_signer.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>

#include "base/base64url.h"

namespace perigee {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

KeyPtr make(TokenAlgorithm algorithm) {
  EVP_PKEY* key = nullptr;
  switch (algorithm) {
    case TokenAlgorithm::Rs256:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
      break;
    case TokenAlgorithm::Es256: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"); break;
    case TokenAlgorithm::EdDsa: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); break;
  }
  return {key, &EVP_PKEY_free};
}
std::string side_by_side(const std::string& der) {
  const auto* in = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size()));
  std::string raw(64, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32);
  ECDSA_SIG_free(signature);
  return raw;
}
}  // namespace

struct TokenSigner::Key {
  KeyPtr pkey;
  std::string number(const char* name, int size) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(pkey.get(), name, &value);
    std::string bytes(static_cast<std::size_t>(size > 0 ? size : BN_num_bytes(value)), '\0');
    auto* out = reinterpret_cast<unsigned char*>(bytes.data());
    BN_bn2binpad(value, out, static_cast<int>(bytes.size()));
    BN_free(value);
    return to_base64url(bytes);
  }
  std::string signature(const std::string& text, TokenAlgorithm algorithm) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                          &EVP_MD_CTX_free};
    const EVP_MD* digest = algorithm == TokenAlgorithm::EdDsa ? nullptr : EVP_sha256();
    EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, pkey.get());
    const auto* in = reinterpret_cast<const unsigned char*>(text.data());
    std::string out(1024, '\0');
    std::size_t size = out.size();
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, in,
                   text.size());
    out.resize(size);
    return algorithm == TokenAlgorithm::Es256 ? side_by_side(out) : out;
  }
};

TokenSigner::TokenSigner(TokenAlgorithm algorithm, std::string key_id)
    : algorithm_(algorithm),
      key_id_(std::move(key_id)),
      key_(std::make_unique<Key>(Key{make(algorithm)})) {}

TokenSigner::~TokenSigner() = default;

std::string TokenSigner::jwk() const {
  const std::string head = R"({"kid":")" + key_id_ + R"(","use":"sig",)";
  switch (algorithm_) {
    case TokenAlgorithm::Rs256:
      return head + R"("kty":"RSA","n":")" + key_->number(OSSL_PKEY_PARAM_RSA_N, 0) + R"(","e":")" +
             key_->number(OSSL_PKEY_PARAM_RSA_E, 0) + R"("})";
    case TokenAlgorithm::Es256:
      return head + R"("kty":"EC","crv":"P-256","x":")" +
             key_->number(OSSL_PKEY_PARAM_EC_PUB_X, 32) + R"(","y":")" +
             key_->number(OSSL_PKEY_PARAM_EC_PUB_Y, 32) + R"("})";
    case TokenAlgorithm::EdDsa: break;
  }
  std::array<unsigned char, 32> raw{};
  std::size_t size = raw.size();
  EVP_PKEY_get_raw_public_key(key_->pkey.get(), raw.data(), &size);
  return head + R"("kty":"OKP","crv":"Ed25519","x":")" +
         to_base64url(std::string{raw.begin(), raw.end()}) + R"("})";
}
std::string TokenSigner::pem() const {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio{BIO_new(BIO_s_mem()), &BIO_free};
  PEM_write_bio_PUBKEY(bio.get(), key_->pkey.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}
std::string TokenSigner::header() const {
  return R"({"alg":")" + std::string{to_string(algorithm_)} + R"(","typ":"JWT","kid":")" + key_id_ +
         R"("})";
}
std::string TokenSigner::sign(const std::string& head, const std::string& claims) const {
  const std::string text = to_base64url(head) + "." + to_base64url(claims);
  return text + "." + to_base64url(key_->signature(text, algorithm_));
}

}  // namespace perigee
