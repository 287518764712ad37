// Signatures by keys of the kinds that an operator's own PKI gives to its members: RSA from 2048
// bits, elliptic curves (ECDSA), both over SHA-256, and Ed448. What Perigee signs itself it signs
// with Ed25519 (key_pair.h); this is for the one statement that ties such a key to a certificate.
//
// `openssl dgst -sha256 -sign KEY` and `-verify` make and check the same signatures.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "pki/certificate.h"

namespace perigee::pki {

inline constexpr std::size_t kAnySignatureBytesMax = 2048;

// Up to some milliseconds (RSA). InvalidArgument: the key can't be read or is of another kind, in
// words that hold nothing of it.
Result<std::string> sign_with(std::string_view private_key_pem, std::string_view message);
// Whether the certificate's key signed exactly this message; says nothing of the certificate.
bool signed_with(const Certificate& certificate, std::string_view message,
                 std::string_view signature);

}  // namespace perigee::pki
