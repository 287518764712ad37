#include "pki/key_pair.h"

#include <openssl/pem.h>

#include "base/assert.h"
#include "pki/openssl_handles.h"

namespace perigee::pki {
namespace {

constexpr std::size_t kPemBytesMax = 16 * 1024;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

int no_passphrase(char*, int, int, void*) { return 0; }  // never ask on a terminal

}  // namespace

KeyPair::KeyPair(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {
  std::size_t size = public_key_.size();
  PERIGEE_ASSERT(EVP_PKEY_get_raw_public_key(key_.get(), public_key_.data(), &size) == 1);
  PERIGEE_ASSERT(size == public_key_.size());
}

KeyPair KeyPair::generate() {
  KeyPtr key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
  PERIGEE_ASSERT(key != nullptr);
  return KeyPair{std::shared_ptr<evp_pkey_st>{std::move(key)}};
}

Result<KeyPair> KeyPair::from_pem(std::string_view pem) {
  if (pem.size() > kPemBytesMax) {
    return Error{Code::InvalidArgument, "the private key's file is too large to be a PEM key"};
  }
  const BioPtr bio = reader_of(pem);
  KeyPtr key{PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!key) {
    return openssl_error(Code::InvalidArgument,
                         "no private key in PEM form without a passphrase was found");
  }
  if (EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) {
    return Error{Code::InvalidArgument,
                 "the private key is not an Ed25519 key (openssl genpkey -algorithm ed25519)"};
  }
  return KeyPair{std::shared_ptr<evp_pkey_st>{std::move(key)}};
}

std::string KeyPair::to_pem() const {
  const BioPtr bio = writer();
  PERIGEE_ASSERT(
      PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return written(*bio);
}

Signature KeyPair::sign(std::string_view message) const {
  const DigestContextPtr context{EVP_MD_CTX_new()};
  PERIGEE_ASSERT(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
  Signature signature{};
  std::size_t size = signature.size();
  PERIGEE_ASSERT(EVP_DigestSign(context.get(), signature.data(), &size, bytes_of(message),
                                message.size()) == 1);
  PERIGEE_ASSERT(size == signature.size());
  return signature;
}

bool verify(const PublicKey& key, std::string_view message, const Signature& signature) {
  const KeyPtr handle{
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size())};
  if (!handle) return false;
  const DigestContextPtr context{EVP_MD_CTX_new()};
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) != 1) {
    return false;
  }
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), bytes_of(message),
                          message.size()) == 1;
}

}  // namespace perigee::pki
