#include "proof/evidence.h"

#include "pki/any_key.h"
#include "pki/certificate_check.h"
#include "pki/spiffe_id.h"

namespace perigee::proof {
namespace {

std::string name_of(const SignedHead& head) {
  return "leaf " + std::to_string(head.tree.leaves) + " of log " + head.origin;
}

// Two heads of one log and one size that differ need no proof: both are signed.
Error forked(const SignedHead& head) {
  return {Code::DataLoss, "forked log: the site signed another history than this one up to " +
                              name_of(head) + "; keep both files as evidence"};
}

}  // namespace

Origin parse_origin(std::string_view origin) {
  const std::size_t first = origin.find('/');
  const std::size_t last = origin.rfind('/');
  if (first == std::string_view::npos || first == last) return {};
  const std::string_view site = origin.substr(first + 1, last - first - 1);
  if (!valid_name(site) || !valid_name(origin.substr(0, first))) return {};
  return {std::string{origin.substr(0, first)}, SiteId{std::string{site}}};
}

std::string head_key_statement(std::string_view spiffe_id, const pki::PublicKey& key) {
  std::string text{"perigee-head-key/1\nsite: "};
  return text.append(spiffe_id).append("\nkey: ").append(to_hex(key)).append("\n");
}

Result<pki::PublicKey> parse_public_key(std::string_view hex) {
  pki::PublicKey key{};
  if (from_hex(hex, key)) return key;
  return Error{Code::InvalidArgument, "a public key is 64 hexadecimal digits"};
}

Result<pki::PublicKey> CertificateTrust::key_of(const SignedHead& head,
                                                const PublishedHead& published) const {
  const auto refused = [](std::string why) {
    return Error{Code::Unauthenticated, "wrong certificate: " + std::move(why)};
  };
  if (published.certificates.empty()) {
    return refused("the site told none; verify with its public key instead");
  }
  std::string pem;
  for (const std::string& certificate : published.certificates) pem += certificate + "\n";
  auto chain = pki::certificates_from_pem(pem);
  if (!chain) return refused(chain.error().message);
  const Origin origin = parse_origin(head.origin);
  const std::string expected = pki::site_spiffe_id(origin.grid, origin.site);
  const pki::CertificateCheck check{*chain, authorities_, head.time, pki::CertificateUse::Signing,
                                    expected};
  if (auto good = pki::check_certificate(check); !good) return refused(good.error().message);
  const std::optional<pki::PublicKey> key = chain->front().ed25519_key();
  if (key) return *key;
  if (published.key_signature.empty()) {
    return refused("its key is not Ed25519 and vouches for no key that is");
  }
  if (!pki::signed_with(chain->front(), head_key_statement(expected, published.key),
                        published.key_signature)) {
    return refused("its key does not vouch for the key of the head");
  }
  return published.key;
}

Result<SignedHead> verify(const PublishedHead& published, const SignerTrust& trust) {
  PERIGEE_TRY(head, parse_head(published.note));
  const SiteId site = parse_origin(head.origin).site;
  if (site.empty()) {
    return Error{Code::InvalidArgument, "the head names no site as its origin", "signed_head"};
  }
  PERIGEE_TRY(key, trust.key_of(head, published));
  if (signed_by(head, key)) return head;
  const bool told_key_fits = signed_by(head, published.key);
  if (told_key_fits) {
    return Error{
        Code::Unauthenticated,
        "wrong key: the head is signed, but not with the key trusted for site " + site.str()};
  }
  return Error{Code::DataLoss, "tampered head: no key of site " + site.str() + " signed it so"};
}

Result<VerifiedReceipt> verify(const ReceiptEvidence& evidence, const SignerTrust& trust) {
  if (leaf_hash(evidence.receipt) != evidence.leaf) {
    return Error{Code::DataLoss, "tampered receipt: its text is not what the log holds"};
  }
  PERIGEE_TRY(receipt, parse_receipt(evidence.receipt));
  PERIGEE_TRY(head, verify(evidence.head, trust));
  if (head.origin != origin_of(receipt.grid, receipt.site.str(), receipt.log)) {
    return Error{Code::DataLoss, "tampered proof: the receipt is of log " +
                                     origin_of(receipt.grid, receipt.site.str(), receipt.log) +
                                     ", the head of log " + head.origin};
  }
  if (!verify_inclusion(evidence.leaf, receipt.leaf, head.tree, evidence.inclusion)) {
    return Error{Code::DataLoss, "tampered proof: leaf " + std::to_string(receipt.leaf) +
                                     " is not in the log that the site signed as such"};
  }
  return VerifiedReceipt{std::move(receipt), std::move(head)};
}

Result<SignedHead> verify(const PublishedHead& older, const LogEvidence& newer,
                          const SignerTrust& trust) {
  PERIGEE_TRY(before, verify(older, trust));
  PERIGEE_TRY(now, verify(newer.head, trust));
  if (before.origin != now.origin) {
    return Error{Code::FailedPrecondition, "two logs: one head is of " + before.origin +
                                               ", the other of " + now.origin +
                                               "; the site has begun a new log"};
  }
  if (before.tree.leaves > now.tree.leaves) {
    if (before.time < now.time) return forked(now);
    return Error{Code::InvalidArgument, "the first head is the newer one: give them in order"};
  }
  if (before.tree.leaves == now.tree.leaves) {
    if (before.tree.root != now.tree.root) return forked(now);
    return now;
  }
  if (newer.since != before.tree.leaves) {
    return Error{Code::InvalidArgument, "the proof begins at leaf " + std::to_string(newer.since) +
                                            ", the older head at " +
                                            std::to_string(before.tree.leaves)};
  }
  if (!verify_consistency(before.tree, now.tree, newer.consistency)) {
    return Error{Code::DataLoss,
                 "forked log or tampered proof: nothing shows that the log of the newer head goes "
                 "on from " +
                     name_of(before)};
  }
  return now;
}

}  // namespace perigee::proof
