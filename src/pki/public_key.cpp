#include "pki/public_key.h"

#include <openssl/pem.h>

#include "pki/openssl_handles.h"

namespace perigee::pki {

Result<PublicKey> public_key_from_pem(std::string_view pem) {
  const BioPtr bio = reader_of(pem);
  const auto silent = [](char*, int, int, void*) { return 0; };  // never ask on a terminal
  const KeyPtr key{PEM_read_bio_PUBKEY(bio.get(), nullptr, silent, nullptr)};
  if (!key) return openssl_error(Code::InvalidArgument, "no public key in PEM form was found");
  PublicKey bytes{};
  std::size_t size = bytes.size();
  if (EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) != 1) {
    return Error{Code::InvalidArgument, "the public key is not an Ed25519 key"};
  }
  return bytes;
}

}  // namespace perigee::pki
