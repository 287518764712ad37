// Receipts, their names, heads and proofs: files that somebody sends to be verified. The corpus has
// some that a key signed which exists no more: whatever is made of them, nothing else passes.
#include <array>
#include <string>

#include "fuzz/fuzz.h"
#include "proof/evidence.h"

namespace perigee::fuzz {
namespace {

using namespace proof;

constexpr std::string_view kKey =
    "9e79dcb40ae37c4bbb1dd5d7cc3bff692992f09afeac46eda12caca415a817b1";
constexpr std::string_view kAuthority =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBVTCCAQegAwIBAgIQRvK+q4ZESnkuuJpGCdMoATAFBgMrZXAwHDEaMBgGA1UE\n"
    "AwwRUGVyaWdlZSBncmlkIGFjbWUwHhcNMjYwOTIxMTM1MTQwWhcNMzYwOTE4MTM1\n"
    "NjQwWjAcMRowGAYDVQQDDBFQZXJpZ2VlIGdyaWQgYWNtZTAqMAUGAytlcAMhANtD\n"
    "zpINef2DygZsRi8AdxvNF7DP5R8lMKy60ssOuhxMo18wXTASBgNVHRMBAf8ECDAG\n"
    "AQH/AgEAMA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUkSf7WI6ZpripabnRtwTD\n"
    "sHYV0PcwGAYDVR0RBBEwD4YNc3BpZmZlOi8vYWNtZTAFBgMrZXADQQBeswJVqPEf\n"
    "Mv45V/8yiVtJ58E2pVwR46J7BlKotog8hXJuZu3aoVXJFh85kB/Obzi1AiDGMxLV\n"
    "m4uy9KihN4cG\n"
    "-----END CERTIFICATE-----\n";
// Of an operator's own PKI, with an ECDSA key: its certificate in the corpus vouches for kKey.
constexpr std::string_view kOperatorAuthority =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcjCCARigAwIBAgIUPgsSDxvQrt/eVpK6FqTaJJm1x5gwCgYIKoZIzj0EAwIw\n"
    "FzEVMBMGA1UEAwwMT3BlcmF0b3IgUEtJMB4XDTI2MDkwMTAwMDAwMFoXDTQ2MDkw\n"
    "MTAwMDAwMFowFzEVMBMGA1UEAwwMT3BlcmF0b3IgUEtJMFkwEwYHKoZIzj0CAQYI\n"
    "KoZIzj0DAQcDQgAE6SXSjZigRHsdOv09rd5XyEmRimvc5/KINeOIB5aYZBBBdy4V\n"
    "jdD0mqUrgBCffQf/KZE7MWmptVq8P/KS+Os3RKNCMEAwDwYDVR0TAQH/BAUwAwEB\n"
    "/zAOBgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFE7ePXKrrPzIbDMwaKE9XcAwwrBk\n"
    "MAoGCCqGSM49BAMCA0gAMEUCIFiZr1jf1NRxhKCv/4HR41uMFbLZ8d3L4YioFSfL\n"
    "ZbBOAiEA0IS+aFDTgCKhfmkWyoCWrxfK/M467rMXrWVxjL0Xuu0=\n"
    "-----END CERTIFICATE-----\n";
constexpr std::string_view kSignedLeaf = "request-id: req_4\n";

void check_names(std::string_view text) {
  if (const auto id = parse_receipt_id(text)) PERIGEE_PROPERTY(to_string(*id) == text);
  if (const auto receipt = parse_receipt(text)) PERIGEE_PROPERTY(receipt_text(*receipt) == text);
}

void check_head(std::string_view text) {
  const auto head = parse_head(text);
  if (!head) return;
  PERIGEE_PROPERTY(text.size() <= kHeadBytesMax);
  const pki::PublicKey key = parse_public_key(kKey).value();
  if (signed_by(*head, key)) PERIGEE_PROPERTY(head->tree.leaves == 9);
}

void check_receipt(std::string_view text, const SignerTrust& trust) {
  const auto evidence = parse_receipt_evidence(text);
  if (!evidence) return PERIGEE_PROPERTY(!evidence.error().message.empty());
  PERIGEE_PROPERTY(to_json(*evidence) ==
                   to_json(parse_receipt_evidence(to_json(*evidence)).value()));
  const auto verified = verify(*evidence, trust);
  if (!verified) return PERIGEE_PROPERTY(verified.error().message.find('\n') == std::string::npos);
  PERIGEE_PROPERTY(verified->receipt.leaf == 4 && verified->head.tree.leaves == 9);
  PERIGEE_PROPERTY(evidence->receipt.find(kSignedLeaf) != std::string::npos);
}

void check_log(std::string_view text, const SignerTrust& trust) {
  const auto evidence = parse_log_evidence(text);
  if (!evidence) return;
  PERIGEE_PROPERTY(to_json(*evidence) == to_json(parse_log_evidence(to_json(*evidence)).value()));
  const auto head = verify(evidence->head, *evidence, trust);
  if (head) PERIGEE_PROPERTY(head->tree.leaves == 9);
}

}  // namespace

void take_input(std::string_view input) {
  static const KeyTrust key{parse_public_key(kKey).value()};
  static const CertificateTrust authority{pki::certificates_from_pem(kAuthority).value()};
  static const CertificateTrust its_own{pki::certificates_from_pem(kOperatorAuthority).value()};
  const Piece piece = exact(input);
  check_names(piece.view());
  check_head(piece.view());
  check_receipt(piece.view(), key);
  check_receipt(piece.view(), authority);
  check_receipt(piece.view(), its_own);
  check_log(piece.view(), key);
  check_log(piece.view(), its_own);
}

}  // namespace perigee::fuzz
