#include "pki/any_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "pki/openssl_handles.h"

namespace perigee::pki {
namespace {

constexpr int kRsaBitsMin = 2048;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool is_taken(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return EVP_PKEY_get_bits(key) >= kRsaBitsMin;
    case EVP_PKEY_EC:
    case EVP_PKEY_ED448: return true;
    default: return false;
  }
}

// Ed448 hashes in a way of its own.
const char* digest_of(const EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED448 ? nullptr : "SHA256";
}

}  // namespace

Result<std::string> sign_with(std::string_view private_key_pem, std::string_view message) {
  const BioPtr bio = reader_of(private_key_pem);
  const auto silent = [](char*, int, int, void*) { return 0; };  // never ask on a terminal
  const KeyPtr key{PEM_read_bio_PrivateKey(bio.get(), nullptr, silent, nullptr)};
  if (!key) {
    return openssl_error(Code::InvalidArgument,
                         "no private key in PEM form without a passphrase was found");
  }
  if (!is_taken(key.get())) {
    return Error{Code::InvalidArgument,
                 "the private key must be Ed25519, ECDSA, RSA of 2048 bits or more, or Ed448"};
  }
  const DigestContextPtr context{EVP_MD_CTX_new()};
  std::string signature(kAnySignatureBytesMax, '\0');
  std::size_t size = signature.size();
  const bool done =
      EVP_DigestSignInit_ex(context.get(), nullptr, digest_of(key.get()), nullptr, nullptr,
                            key.get(), nullptr) == 1 &&
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     bytes_of(message), message.size()) == 1;
  if (!done) return openssl_error(Code::InvalidArgument, "the private key can't sign");
  signature.resize(size);
  return signature;
}

bool signed_with(const Certificate& certificate, std::string_view message,
                 std::string_view signature) {
  EVP_PKEY* key = X509_get0_pubkey(certificate.handle());
  if (key == nullptr || !is_taken(key)) return false;
  const DigestContextPtr context{EVP_MD_CTX_new()};
  const bool good = EVP_DigestVerifyInit_ex(context.get(), nullptr, digest_of(key), nullptr,
                                            nullptr, key, nullptr) == 1 &&
                    EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                     bytes_of(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace perigee::pki
