// JwkSet: the public keys of an issuer of tokens (RFC 7517), and what they verify (RFC 7515, 8037).
// Read once, when the directory changes; after that only signatures are looked at.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perigee {

// The algorithms that there are. Nothing with a shared secret, and no "none": what is not here
// can't be asked for.
enum class TokenAlgorithm : std::uint8_t { Rs256, Es256, EdDsa };
std::string_view to_string(TokenAlgorithm algorithm);  // "RS256", "ES256", "EdDSA"
std::optional<TokenAlgorithm> parse_token_algorithm(std::string_view name);

// Immutable; may be used by several threads.
class JwkSet {
 public:
  static constexpr std::size_t kKeysMax = 16;

  // InvalidArgument (`param` "jwks") says what is wrong. Keys for other uses or of other kinds than
  // RSA of 2048 to 8192 bits, P-256 and Ed25519 are left out; none that is left is an error, and so
  // is a private key.
  static Result<JwkSet> parse(std::string_view json);
  JwkSet(JwkSet&&) noexcept;
  JwkSet& operator=(JwkSet&&) noexcept;
  ~JwkSet();

  std::size_t size() const;
  // Whether a key of that name (or, when the token names none, the only one for that algorithm)
  // is there.
  bool has(TokenAlgorithm algorithm, std::string_view key_id) const;
  // Whether that key made `signature` over `text`. False also when there is no such key.
  bool verify(TokenAlgorithm algorithm, std::string_view key_id, std::string_view text,
              std::string_view signature) const;

 private:
  struct Key;
  explicit JwkSet(std::vector<Key> keys);
  const Key* find(TokenAlgorithm algorithm, std::string_view key_id) const;
  std::vector<Key> keys_;
};

}  // namespace perigee
