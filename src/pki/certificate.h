// Certificates (X.509, RFC 5280) as values: read, shown, compared. Making them is authority.h,
// judging them certificate_check.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "pki/key_pair.h"

struct x509_st;

namespace perigee::pki {

inline constexpr std::size_t kPemBytesMax = std::size_t{256} * 1024;  // of a chain or a bundle
inline constexpr std::size_t kCertificatesMax = 64;                   // in one of them

// Immutable, cheap to copy; from any thread.
class Certificate {
 public:
  // Takes a share of OpenSSL's certificate.
  explicit Certificate(x509_st* certificate);
  std::string to_pem() const;
  // The one URI among its names (X509-SVID, section 2): empty when it has none, or more than one.
  const std::string& spiffe_id() const { return spiffe_id_; }
  std::string subject() const;  // "CN = metro-berlin, O = acme"
  std::string issuer() const;
  std::string serial() const;              // hex
  std::vector<std::string> names() const;  // DNS names and IP addresses
  WallTime not_before() const { return not_before_; }
  WallTime not_after() const { return not_after_; }
  std::string sha256() const;                    // of its DER form: 32 bytes, its fingerprint
  bool is_authority() const;                     // may sign certificates
  std::optional<PublicKey> ed25519_key() const;  // nullopt: a key of another kind
  x509_st* handle() const { return certificate_.get(); }

 private:
  std::shared_ptr<x509_st> certificate_;
  std::string spiffe_id_;
  WallTime not_before_;
  WallTime not_after_;
};

// "-----BEGIN CERTIFICATE-----" one after the other; what stands between them is skipped.
// InvalidArgument: none, too many, one that can't be read.
Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem);
std::string to_pem(const std::vector<Certificate>& certificates);
// Whether the private key (PEM, of any kind) is the certificate's. InvalidArgument says what not.
Result<> check_key_belongs(std::string_view private_key_pem, const Certificate& certificate);

// "2026-11-29T01:17:11Z"
std::string to_text(WallTime time);

}  // namespace perigee::pki
