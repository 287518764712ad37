// For tests of tokens: an issuer with a key of its own that signs what it is told to.
#pragma once

#include <memory>
#include <string>

#include "identity/bearer_tokens/jwk_set.h"

namespace perigee {

class TokenSigner {
 public:
  TokenSigner(TokenAlgorithm algorithm, std::string key_id);
  ~TokenSigner();
  std::string jwk() const;  // {"kty":...}: the public part
  // The public key in PEM: what the confusion of algorithms takes for a shared secret.
  std::string pem() const;
  std::string header() const;
  std::string sign(const std::string& claims) const { return sign(header(), claims); }
  std::string sign(const std::string& head, const std::string& claims) const;

 private:
  struct Key;
  TokenAlgorithm algorithm_;
  std::string key_id_;
  std::unique_ptr<Key> key_;
};

}  // namespace perigee
