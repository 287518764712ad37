// Whether a certificate is to be believed: signed by an authority that we trust, valid now, made
// for this use, and of the member that we mean. Each refusal is one line that says what to do.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/instant.h"
#include "base/result.h"
#include "pki/certificate.h"

struct x509_store_ctx_st;
struct x509_st;

namespace perigee::pki {

enum class CertificateUse : std::uint8_t {
  TlsClient,
  TlsServer,
  Signing,  // heads of a receipt log: digitalSignature
};

struct CertificateCheck {
  std::span<const Certificate> chain;        // the member's own first, then what signed it
  std::span<const Certificate> authorities;  // trusted
  WallTime now;
  CertificateUse use = CertificateUse::TlsClient;
  std::string_view spiffe_id = {};  // whom we mean; empty: anyone whom the authorities vouch for
};

// PermissionDenied: expired, not yet valid, another authority's, another use's, another member's.
// InvalidArgument: an empty chain or no authorities.
Result<> check_certificate(const CertificateCheck& check);

// The same judgement's words, for those who run OpenSSL's verification themselves (net/tls):
// `status` is X509_V_ERR_..., `certificate` the one it is about (may be null).
std::string explain_refusal(int status, const x509_st* certificate);
// Whether the leaf names this member; the message says whom it names instead.
Result<> check_spiffe_id(const Certificate& certificate, std::string_view expected);

}  // namespace perigee::pki
