// Ed25519 keys (RFC 8032): one per member of the grid. It is the key of the member's certificate,
// and a site signs the heads of its receipt log with it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_pkey_st;

namespace perigee::pki {

using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

// Immutable, cheap to copy; from any thread.
class KeyPair {
 public:
  // A new unpredictable one.
  static KeyPair generate();
  // "-----BEGIN PRIVATE KEY-----" (PKCS#8, not encrypted). InvalidArgument: no such key, or one of
  // another kind. The text is never part of an error.
  static Result<KeyPair> from_pem(std::string_view pem);
  // A secret: for a file of mode 0600 (base/private_file.h).
  std::string to_pem() const;
  const PublicKey& public_key() const { return public_key_; }
  // Deterministic. About 40 to 70 microseconds: sign heads, not requests.
  Signature sign(std::string_view message) const;
  evp_pkey_st* handle() const { return key_.get(); }  // OpenSSL's; lives as long as this

 private:
  explicit KeyPair(std::shared_ptr<evp_pkey_st> key);
  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_key_{};
};

// Whether the holder of the key signed exactly this message. About 100 to 150 microseconds.
bool verify(const PublicKey& key, std::string_view message, const Signature& signature);

}  // namespace perigee::pki
