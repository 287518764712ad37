#include "pki/authority.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/assert.h"
#include "base/secret.h"
#include "pki/openssl_handles.h"

namespace perigee::pki {
namespace {

constexpr std::size_t kRequestBytesMax = 16 * 1024;
constexpr std::size_t kNamesMax = 16;
constexpr long kVersion3 = 2;
constexpr std::size_t kSerialBytes = 16;

constexpr std::size_t kCommonNameBytesMax = 64;  // ub-common-name

void set_common_name(X509_NAME* name, std::string_view text) {
  text = text.substr(0, kCommonNameBytesMax);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, const_cast<unsigned char*>(bytes),
                             static_cast<int>(text.size()), -1, 0);
}

void set_serial(X509* certificate) {
  std::array<std::uint8_t, kSerialBytes> bytes{};
  random_bytes(bytes);
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x7fU) | 0x40U);  // positive, of full length
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number{
      BN_bin2bn(bytes.data(), kSerialBytes, nullptr)};
  PERIGEE_ASSERT(number != nullptr);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

void set_time(ASN1_TIME* field, WallTime time) {
  ASN1_TIME_set(field, static_cast<std::time_t>(time.micros / 1'000'000));
}

WallTime later(WallTime time, Duration by) {
  return WallTime{time.micros + std::chrono::duration_cast<microseconds>(by).count()};
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension{
      X509V3_EXT_conf_nid(nullptr, &context, nid, value)};
  PERIGEE_ASSERT(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void push_text(GENERAL_NAMES& names, int type, std::string_view text) {
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  GENERAL_NAME* name = GENERAL_NAME_new();
  PERIGEE_ASSERT(value != nullptr && name != nullptr);
  ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(&names, name);
}

bool push_address(GENERAL_NAMES& names, const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  int size = 0;
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) size = 4;
  if (size == 0 && ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) size = 16;
  if (size == 0) return false;
  ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
  GENERAL_NAME* name = GENERAL_NAME_new();
  PERIGEE_ASSERT(value != nullptr && name != nullptr);
  ASN1_OCTET_STRING_set(value, bytes.data(), size);
  GENERAL_NAME_set0_value(name, GEN_IPADD, value);
  sk_GENERAL_NAME_push(&names, name);
  return true;
}

bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-';
  });
}

void add_names(X509* certificate, const std::string& uri, const std::vector<std::string>& hosts) {
  const NamesPtr names{sk_GENERAL_NAME_new_null()};
  PERIGEE_ASSERT(names != nullptr);
  push_text(*names, GEN_URI, uri);
  for (const std::string& host : hosts) {
    if (!push_address(*names, host)) push_text(*names, GEN_DNS, host);
  }
  PERIGEE_ASSERT(
      X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_APPEND) == 1);
}

CertificatePtr blank(WallTime from, WallTime until, EVP_PKEY* key) {
  CertificatePtr certificate{X509_new()};
  PERIGEE_ASSERT(certificate != nullptr);
  X509_set_version(certificate.get(), kVersion3);
  set_serial(certificate.get());
  set_time(X509_getm_notBefore(certificate.get()), from);
  set_time(X509_getm_notAfter(certificate.get()), until);
  PERIGEE_ASSERT(X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

// Ed25519 hashes by itself: no digest is named.
void sign_with(X509* certificate, const KeyPair& key) {
  PERIGEE_ASSERT(X509_sign(certificate, key.handle(), nullptr) > 0);
}

}  // namespace

std::string make_certificate_request(const KeyPair& key, std::string_view common_name) {
  const RequestPtr request{X509_REQ_new()};
  PERIGEE_ASSERT(request != nullptr);
  X509_REQ_set_version(request.get(), 0);
  set_common_name(X509_REQ_get_subject_name(request.get()), common_name);
  PERIGEE_ASSERT(X509_REQ_set_pubkey(request.get(), key.handle()) == 1);
  PERIGEE_ASSERT(X509_REQ_sign(request.get(), key.handle(), nullptr) > 0);
  const BioPtr bio = writer();
  PERIGEE_ASSERT(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1);
  return written(*bio);
}

Authority Authority::make(const std::string& grid, WallTime now, Duration lifetime) {
  KeyPair key = KeyPair::generate();
  WallTime from = later(now, -kClockSkew);
  const CertificatePtr certificate = blank(from, later(now, lifetime), key.handle());
  X509* handle = certificate.get();
  X509_NAME* name = X509_get_subject_name(handle);
  set_common_name(name, "Perigee grid " + grid);
  X509_set_issuer_name(handle, name);
  add_extension(handle, handle, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(handle, handle, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(handle, handle, NID_subject_key_identifier, "hash");
  add_names(handle, spiffe_id({grid, MemberRole::Authority}), {});
  sign_with(handle, key);
  return {std::move(key), Certificate{handle}};
}

Result<Authority> Authority::from_pem(std::string_view certificate_pem, std::string_view key_pem) {
  PERIGEE_TRY(certificates, certificates_from_pem(certificate_pem));
  PERIGEE_TRY(key, KeyPair::from_pem(key_pem));
  const Certificate& own = certificates.front();
  if (!own.is_authority()) {
    return Error{Code::InvalidArgument, "the certificate is not one of an authority (CA:TRUE)"};
  }
  if (X509_check_private_key(own.handle(), key.handle()) != 1) {
    ERR_clear_error();
    return Error{Code::InvalidArgument, "the authority's key does not belong to its certificate"};
  }
  return Authority{std::move(key), own};
}

Result<Certificate> Authority::sign(std::string_view request_pem,
                                    const CertificateOrder& order) const {
  if (request_pem.size() > kRequestBytesMax) {
    return Error{Code::InvalidArgument, "the certificate request is larger than 16 KiB"};
  }
  const BioPtr bio = reader_of(request_pem);
  const RequestPtr request{PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr)};
  if (!request) {
    return openssl_error(Code::InvalidArgument, "no certificate request in PEM form was found");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return Error{Code::InvalidArgument,
                 "the certificate request is not signed with the key that it is for"};
  }
  if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
    return Error{Code::InvalidArgument, "the certificate request must be for an Ed25519 key"};
  }
  if (order.names.size() > kNamesMax) {
    return Error{Code::InvalidArgument, "a certificate has at most 16 host names"};
  }
  for (const std::string& host : order.names) {
    in6_addr ignored{};
    if (!is_host_name(host) && ::inet_pton(AF_INET6, host.c_str(), &ignored) != 1) {
      return Error{Code::InvalidArgument, "'" + host + "' is no host name or IP address"};
    }
  }
  const WallTime until = std::min(later(order.now, order.lifetime), certificate_.not_after());
  if (until <= order.now) {
    return Error{Code::FailedPrecondition, "the grid's certificate authority expired at " +
                                               to_text(certificate_.not_after()) +
                                               ": make a new one (perigee ca init)"};
  }
  const CertificatePtr made = blank(later(order.now, -kClockSkew), until, key);
  X509* handle = made.get();
  X509* issuer = certificate_.handle();
  const GridMember& member = order.member;
  set_common_name(X509_get_subject_name(handle), member.name.empty() ? "control" : member.name);
  X509_set_issuer_name(handle, X509_get_subject_name(issuer));
  add_extension(handle, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(handle, issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(handle, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(handle, issuer, NID_subject_key_identifier, "hash");
  add_extension(handle, issuer, NID_authority_key_identifier, "keyid:always");
  add_names(handle, spiffe_id(member), order.names);
  sign_with(handle, key_);
  return Certificate{handle};
}

}  // namespace perigee::pki
