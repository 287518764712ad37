#include "pki/certificate_check.h"

#include <openssl/err.h>

#include <ctime>
#include <memory>

#include "base/assert.h"
#include "pki/openssl_handles.h"

namespace perigee::pki {
namespace {

constexpr int kDepthMax = 4;  // intermediates

// Whom a refusal is about: the SPIFFE id, else the subject.
std::string holder_of(const X509* certificate) {
  if (certificate == nullptr) return "the peer";
  const Certificate read{const_cast<X509*>(certificate)};
  if (!read.spiffe_id().empty()) return read.spiffe_id();
  return "'" + read.subject() + "'";
}

int purpose_of(CertificateUse use) {
  switch (use) {
    case CertificateUse::TlsClient: return X509_PURPOSE_SSL_CLIENT;
    case CertificateUse::TlsServer: return X509_PURPOSE_SSL_SERVER;
    case CertificateUse::Signing: break;
  }
  return X509_PURPOSE_ANY;
}

}  // namespace

std::string explain_refusal(int status, const x509_st* certificate) {
  const std::string holder = holder_of(certificate);
  switch (status) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the certificate of " + holder + " expired at " +
             to_text(Certificate{const_cast<X509*>(certificate)}.not_after()) +
             ": renew it, or set the clock right";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the certificate of " + holder + " is not valid before " +
             to_text(Certificate{const_cast<X509*>(certificate)}.not_before()) +
             ": set the clock right";
    case X509_V_ERR_INVALID_PURPOSE:
      return "the certificate of " + holder + " is not made for this use (key usage)";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_INVALID_CA:
      return "the certificate of " + holder + " is not of an authority that is trusted here";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the certificate of " + holder + " is for another host";
    default: break;
  }
  return "the certificate of " + holder + " is refused: " + X509_verify_cert_error_string(status);
}

Result<> check_spiffe_id(const Certificate& certificate, std::string_view expected) {
  if (certificate.spiffe_id() == expected) return {};
  const std::string named =
      certificate.spiffe_id().empty() ? "no member of a grid" : certificate.spiffe_id();
  return Error{Code::PermissionDenied,
               "the certificate names " + named + ", expected " + std::string{expected}};
}

Result<> check_certificate(const CertificateCheck& check) {
  if (check.chain.empty()) return Error{Code::InvalidArgument, "no certificate was given"};
  if (check.authorities.empty()) {
    return Error{Code::InvalidArgument, "no certificate authority is trusted"};
  }
  const StorePtr store{X509_STORE_new()};
  for (const Certificate& authority : check.authorities) {
    X509_STORE_add_cert(store.get(), authority.handle());
  }
  const auto free_stack = [](STACK_OF(X509) * stack) { sk_X509_free(stack); };
  const std::unique_ptr<STACK_OF(X509), decltype(free_stack)> between{sk_X509_new_null(),
                                                                      free_stack};
  const StoreContextPtr context{X509_STORE_CTX_new()};
  PERIGEE_ASSERT(store && between && context);
  for (const Certificate& each : check.chain.subspan(1)) {
    sk_X509_push(between.get(), each.handle());
  }
  X509* leaf = check.chain.front().handle();
  PERIGEE_ASSERT(X509_STORE_CTX_init(context.get(), store.get(), leaf, between.get()) == 1);
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(wanted, static_cast<std::time_t>(check.now.micros / 1'000'000));
  X509_VERIFY_PARAM_set_purpose(wanted, purpose_of(check.use));
  X509_VERIFY_PARAM_set_depth(wanted, kDepthMax);
  X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_PARTIAL_CHAIN);
  const bool believed = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!believed) {
    return Error{Code::PermissionDenied,
                 explain_refusal(X509_STORE_CTX_get_error(context.get()),
                                 X509_STORE_CTX_get_current_cert(context.get()))};
  }
  if (check.use == CertificateUse::Signing &&
      (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {
    return Error{Code::PermissionDenied, explain_refusal(X509_V_ERR_INVALID_PURPOSE, leaf)};
  }
  if (check.spiffe_id.empty()) return {};
  return check_spiffe_id(check.chain.front(), check.spiffe_id);
}

}  // namespace perigee::pki
