#include "cli/tls_trust.h"

#include <optional>

#include "cli/connection.h"
#include "cli/environment.h"
#include "control/member_files.h"
#include "pki/certificate.h"
#include "pki/spiffe_id.h"

namespace perigee::cli {
namespace {

Result<TlsTrust> read_trust() {
  net::TlsClientOptions options;
  TlsTrust trust;
  std::optional<std::string> file = environment("PERIGEE_CA_FILE");
  if (!file) {
    PERIGEE_TRY(demo, read_demo_state());
    if (demo && !demo->ca_file.empty()) file = demo->ca_file;
  }
  if (file) {
    PERIGEE_TRY(pem, control::read_pem_file(*file));
    auto authorities = pki::certificates_from_pem(pem);
    if (!authorities) {
      return Error{authorities.error().code, *file + ": " + authorities.error().message};
    }
    const auto named = pki::parse_spiffe_id(authorities->front().spiffe_id());
    if (named && named->role == pki::MemberRole::Authority) trust.grid = named->grid;
    options.authorities_pem = pem;
    options.only_those = true;
  }
  PERIGEE_TRY(client, net::TlsClient::make(options));
  trust.tls = std::make_shared<net::TlsClientSource>(client);
  return trust;
}

}  // namespace

Result<TlsTrust> tls_trust() {
  static const Result<TlsTrust> read = read_trust();
  return read;
}

}  // namespace perigee::cli
