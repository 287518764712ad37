// Evidence: a receipt with all that shows that it stands in its site's log, and the steps of a log
// from one head to a later one; as JSON, and verified by who trusts nobody but the signer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pki/certificate.h"
#include "proof/merkle.h"
#include "proof/receipt.h"
#include "proof/signed_head.h"

namespace perigee::proof {

inline constexpr std::size_t kEvidenceBytesMax = 256 * 1024;
inline constexpr std::size_t kCertificatesMax = 8;

// A head as a site tells it.
struct PublishedHead {
  std::string note;                       // signed_head.h
  pki::PublicKey key{};                   // that it is said to be signed with
  std::vector<std::string> certificates;  // PEM, of the site first; empty: it has none
  // Of head_key_statement(), by the certificate's key, when that is not `key` itself since it is
  // not Ed25519 (an operator's own PKI); else empty.
  std::string key_signature = {};
};

// What a site's certificate vouches for so: heads of this site are signed with that key.
std::string head_key_statement(std::string_view spiffe_id, const pki::PublicKey& key);

// What `GET /v1/receipts/ID` answers.
struct ReceiptEvidence {
  std::string receipt;  // the text
  Sha256 leaf{};        // its hash: tells a changed receipt from a changed proof
  std::vector<Sha256> inclusion;
  PublishedHead head;
};
// What `GET /v1/log?since=N` answers: the newest head, and that the tree of the first `since`
// leaves is its beginning.
struct LogEvidence {
  std::uint64_t since = 0;
  std::vector<Sha256> consistency;
  PublishedHead head;
};

std::string to_json(const ReceiptEvidence& evidence);
std::string to_json(const LogEvidence& evidence);
// InvalidArgument names the field.
Result<ReceiptEvidence> parse_receipt_evidence(std::string_view json);
Result<LogEvidence> parse_log_evidence(std::string_view json);

// Whose signatures count.
class SignerTrust {
 public:
  virtual ~SignerTrust() = default;
  // The key with which the site that `head` names signed at that time, if `published` shows it.
  // Unauthenticated says why not.
  virtual Result<pki::PublicKey> key_of(const SignedHead& head,
                                        const PublishedHead& published) const = 0;
};
// Trusts one key, whatever the site.
class KeyTrust final : public SignerTrust {
 public:
  explicit KeyTrust(const pki::PublicKey& key) : key_(key) {}
  Result<pki::PublicKey> key_of(const SignedHead&, const PublishedHead&) const override {
    return key_;
  }

 private:
  pki::PublicKey key_;
};
// Trusts the certificates of a grid's authorities, or of an operator's own: the head's key must be
// that of the site's certificate (its SPIFFE id), or vouched for by it, at the moment at which the
// head was signed.
class CertificateTrust final : public SignerTrust {
 public:
  explicit CertificateTrust(std::vector<pki::Certificate> authorities)
      : authorities_(std::move(authorities)) {}
  Result<pki::PublicKey> key_of(const SignedHead& head,
                                const PublishedHead& published) const override;

 private:
  std::vector<pki::Certificate> authorities_;
};

// 64 hexadecimal digits. InvalidArgument otherwise.
Result<pki::PublicKey> parse_public_key(std::string_view hex);

// What verification found to be true.
struct VerifiedReceipt {
  Receipt receipt;
  SignedHead head;
};
// DataLoss: receipt, proof or head were changed. Unauthenticated: signed by another key, or its
// certificate is not good. One clear line each.
Result<VerifiedReceipt> verify(const ReceiptEvidence& evidence, const SignerTrust& trust);
// The head, if its site signed it.
Result<SignedHead> verify(const PublishedHead& head, const SignerTrust& trust);
// That the log of `newer` goes on from `older`. DataLoss: it was forked, or the proof was changed.
// FailedPrecondition: they are of two logs.
Result<SignedHead> verify(const PublishedHead& older, const LogEvidence& newer,
                          const SignerTrust& trust);

// The grid and the site that an origin names; empty when it is none.
struct Origin {
  std::string grid;
  SiteId site;
};
Origin parse_origin(std::string_view origin);

}  // namespace perigee::proof
