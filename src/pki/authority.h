// Authority: the grid's certificate authority, and what a member sends to it.
//
// A member makes its key where it will be used and sends a certificate request (PKCS#10), which
// proves that it has the key and says nothing else that is believed: whom the certificate names is
// what the authority was told by the directory. Certificates are short-lived; there is no
// revocation list: the directory says who is a member, and ends a removed one's trust at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "pki/certificate.h"
#include "pki/key_pair.h"
#include "pki/spiffe_id.h"

namespace perigee::pki {

inline constexpr Duration kAuthorityLifetime = std::chrono::hours{24 * 365 * 10};
inline constexpr Duration kMemberLifetime = std::chrono::hours{24};
// Certificates are valid this long before they are made: clocks differ.
inline constexpr Duration kClockSkew = std::chrono::minutes{5};

// A certificate request (PEM) for the key. The name in it is for people only.
std::string make_certificate_request(const KeyPair& key, std::string_view common_name);

struct CertificateOrder {
  GridMember member;
  WallTime now;
  Duration lifetime = kMemberLifetime;
  std::vector<std::string> names = {};  // hosts that clients call it by: DNS names, IP addresses
};

class Authority {
 public:
  // A new key and its self-signed certificate.
  static Authority make(const std::string& grid, WallTime now,
                        Duration lifetime = kAuthorityLifetime);
  // InvalidArgument: not a key with its authority's certificate.
  static Result<Authority> from_pem(std::string_view certificate_pem, std::string_view key_pem);

  const Certificate& certificate() const { return certificate_; }
  std::string key_pem() const { return key_.to_pem(); }  // the grid's one great secret

  // The certificate for the request's key. It never outlives the authority's own. InvalidArgument:
  // the request can't be read, its signature does not prove its key, a name is no host.
  Result<Certificate> sign(std::string_view request_pem, const CertificateOrder& order) const;

 private:
  Authority(KeyPair key, Certificate certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}
  KeyPair key_;
  Certificate certificate_;
};

}  // namespace perigee::pki
