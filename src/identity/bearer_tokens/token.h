// Token: a signed token (JWT, RFC 7519, in JWS compact form) taken apart. Nothing in it is believed
// before its signature is verified with a key of the issuer that it names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perigee {

inline constexpr std::size_t kTokenBytesMax = 8 * 1024;

// What a token says. Views point into the text that it was read from.
struct Token {
  std::string algorithm;
  std::string key_id;  // empty: none named
  std::string issuer;
  std::string subject;
  std::vector<std::string> audiences;
  std::optional<std::int64_t> expires;     // seconds since 1970
  std::optional<std::int64_t> not_before;  // likewise
  std::string claims;                      // the payload, as JSON
  std::string_view signed_text;            // header and payload, as they were signed
  std::string signature;                   // bytes
};

// Whether it has the shape of a token rather than that of a key: three parts with dots between,
// beginning as a JSON object in base64url does.
bool looks_like_token(std::string_view text);

// Unauthenticated says in one line what is wrong; never a part of the token. Refused are what is
// not canonical base64url, a header with `crit` or without an algorithm, times that are no whole
// numbers, claims of the wrong type.
Result<Token> parse_token(std::string_view text);

// A claim that is a text; empty when it is absent or something else.
std::string text_claim(std::string_view claims, std::string_view name);

}  // namespace perigee
