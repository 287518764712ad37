#include "control/grid_authority.h"

#include <cstring>
#include <filesystem>

#include "base/private_file.h"

namespace perigee::control {
namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;

std::string certificate_file(const std::string& state_dir) { return state_dir + "/ca.pem"; }
std::string key_file(const std::string& state_dir) { return state_dir + "/ca.key"; }

}  // namespace

Result<pki::Certificate> init_authority(const std::string& state_dir, const std::string& grid,
                                        WallTime now) {
  if (!valid_name(grid)) {
    return Error{Code::InvalidArgument,
                 "the grid's name must be lower-case letters, digits, '-', '_', '.'", "grid"};
  }
  PERIGEE_CHECK(make_private_folder(state_dir));
  const pki::Authority made = pki::Authority::make(grid, now);
  // The key first: a certificate without its key would be taken for a whole authority.
  PERIGEE_CHECK(create_private_file(key_file(state_dir), made.key_pem()));
  PERIGEE_CHECK(create_private_file(certificate_file(state_dir), made.certificate().to_pem()));
  return made.certificate();
}

Result<std::unique_ptr<GridAuthority>> GridAuthority::open(const std::string& state_dir,
                                                           const Clock& clock, Duration lifetime) {
  std::error_code ignored;
  const std::string certificate = certificate_file(state_dir);
  if (!std::filesystem::exists(certificate, ignored)) return std::unique_ptr<GridAuthority>{};
  PERIGEE_TRY(certificate_pem, read_private_file(certificate, kFileBytesMax));
  PERIGEE_TRY(key_pem, read_private_file(key_file(state_dir), kFileBytesMax));
  auto authority = pki::Authority::from_pem(certificate_pem, key_pem);
  if (!authority) {
    Error error = authority.error();
    error.message = certificate + ": " + error.message;
    return error;
  }
  auto named = pki::parse_spiffe_id(authority->certificate().spiffe_id());
  if (!named || named->role != pki::MemberRole::Authority) {
    return Error{
        Code::InvalidArgument,
        certificate + " does not name a grid (spiffe://GRID): make it with `perigee ca init`"};
  }
  return std::unique_ptr<GridAuthority>{
      new GridAuthority{std::move(*authority), std::move(named->grid), clock, lifetime}};
}

Sha256 GridAuthority::fingerprint() const {
  Sha256 digest{};
  const std::string bytes = authority_.certificate().sha256();
  std::memcpy(digest.data(), bytes.data(), digest.size());
  return digest;
}

Result<std::string> GridAuthority::sign_site(std::string_view request_pem, const SiteId& site,
                                             const std::string& host) const {
  pki::CertificateOrder order{{grid_, pki::MemberRole::Site, site.str()}, clock_.wall(), lifetime_};
  if (!host.empty()) order.names = {host};
  PERIGEE_TRY(made, authority_.sign(request_pem, order));
  return made.to_pem();  // the authority itself is known to whoever checks it
}

Result<net::TlsMember> GridAuthority::sign_control(const std::vector<std::string>& hosts) const {
  const pki::KeyPair key = pki::KeyPair::generate();
  pki::CertificateOrder order{{grid_, pki::MemberRole::Control}, clock_.wall(), lifetime_};
  order.names = hosts;
  PERIGEE_TRY(made, authority_.sign(pki::make_certificate_request(key, "control"), order));
  return net::TlsMember{
      {made.to_pem() + authorities_pem(), key.to_pem()}, authorities_pem(), grid_};
}

}  // namespace perigee::control
