#include "pki/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "base/assert.h"
#include "pki/openssl_handles.h"

namespace perigee::pki {
namespace {

WallTime wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return WallTime{};
  return WallTime{static_cast<std::int64_t>(::timegm(&parts)) * 1'000'000};
}

NamesPtr alternative_names(const X509* certificate) {
  return NamesPtr{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
}

std::string text_of(const ASN1_STRING* text) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(text));
  return {data, static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string one_uri(const X509* certificate) {
  const NamesPtr names = alternative_names(certificate);
  std::string uri;
  int found = 0;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    uri = text_of(name->d.uniformResourceIdentifier);
    ++found;
  }
  const bool printable = uri.find('\0') == std::string::npos;
  return found == 1 && printable ? uri : std::string{};
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = {};
  const int size = ASN1_STRING_length(address);
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (size != 4 && size != 16) return {};
  if (::inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text) == nullptr) return {};
  return text;
}

std::string name_text(const X509_NAME* name) {
  const BioPtr bio = writer();
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  return written(*bio);
}

}  // namespace

Certificate::Certificate(x509_st* certificate) {
  PERIGEE_ASSERT(certificate != nullptr && X509_up_ref(certificate) == 1);
  certificate_ = std::shared_ptr<x509_st>{certificate, X509_free};
  spiffe_id_ = one_uri(certificate);
  not_before_ = wall_time(X509_get0_notBefore(certificate));
  not_after_ = wall_time(X509_get0_notAfter(certificate));
}

std::string Certificate::to_pem() const {
  const BioPtr bio = writer();
  PERIGEE_ASSERT(PEM_write_bio_X509(bio.get(), certificate_.get()) == 1);
  return written(*bio);
}

std::string Certificate::subject() const {
  return name_text(X509_get_subject_name(certificate_.get()));
}

std::string Certificate::issuer() const {
  return name_text(X509_get_issuer_name(certificate_.get()));
}

std::string Certificate::serial() const {
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number{
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate_.get()), nullptr)};
  if (!number) return {};
  char* hex = BN_bn2hex(number.get());
  std::string text = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  return text;
}

std::vector<std::string> Certificate::names() const {
  const NamesPtr names = alternative_names(certificate_.get());
  std::vector<std::string> out;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) out.push_back(text_of(name->d.dNSName));
    if (name->type == GEN_IPADD) out.push_back(address_text(name->d.iPAddress));
  }
  return out;
}

std::string Certificate::sha256() const {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  PERIGEE_ASSERT(X509_digest(certificate_.get(), EVP_sha256(), digest, &size) == 1);
  return {reinterpret_cast<const char*>(digest), size};
}

bool Certificate::is_authority() const { return X509_check_ca(certificate_.get()) == 1; }

std::optional<PublicKey> Certificate::ed25519_key() const {
  const EVP_PKEY* key = X509_get0_pubkey(certificate_.get());
  PublicKey bytes{};
  std::size_t size = bytes.size();
  if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key, bytes.data(), &size) != 1) {
    return std::nullopt;
  }
  return bytes;
}

Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem) {
  if (pem.size() > kPemBytesMax) {
    return Error{Code::InvalidArgument, "the certificates are more than 256 KiB"};
  }
  const BioPtr bio = reader_of(pem);
  std::vector<Certificate> out;
  for (;;) {
    ERR_clear_error();
    const CertificatePtr next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
    if (!next) break;
    if (out.size() == kCertificatesMax) {
      return Error{Code::InvalidArgument, "more than 64 certificates in one file"};
    }
    out.emplace_back(next.get());
  }
  // The end of the text is the one good reason to stop.
  const unsigned long last = ERR_peek_last_error();
  if (out.empty() || ERR_GET_REASON(last) != PEM_R_NO_START_LINE) {
    return openssl_error(Code::InvalidArgument, out.empty()
                                                    ? "no certificate in PEM form was found"
                                                    : "a certificate in PEM form can't be read");
  }
  ERR_clear_error();
  return out;
}

std::string to_pem(const std::vector<Certificate>& certificates) {
  std::string pem;
  for (const Certificate& certificate : certificates) pem += certificate.to_pem();
  return pem;
}

Result<> check_key_belongs(std::string_view private_key_pem, const Certificate& certificate) {
  const BioPtr bio = reader_of(private_key_pem);
  const auto silent = [](char*, int, int, void*) { return 0; };
  const KeyPtr key{PEM_read_bio_PrivateKey(bio.get(), nullptr, silent, nullptr)};
  if (!key) {
    return openssl_error(Code::InvalidArgument,
                         "no private key in PEM form without a passphrase was found");
  }
  if (X509_check_private_key(certificate.handle(), key.get()) == 1) return {};
  ERR_clear_error();
  return Error{Code::InvalidArgument, "the private key does not belong to the certificate"};
}

std::string to_text(WallTime time) {
  const auto whole = static_cast<std::time_t>(time.micros / 1'000'000);
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

}  // namespace perigee::pki
