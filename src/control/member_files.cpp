#include "control/member_files.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "pki/authority.h"
#include "pki/certificate_check.h"

namespace perigee::control {
namespace {

Error in_file(const std::string& path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

}  // namespace

MemberFiles member_files_in(const std::string& state_dir) {
  const std::string folder = state_dir + "/tls/";
  return {folder + "certificate.pem", folder + "key.pem", folder + "authorities.pem"};
}

Result<std::string> read_pem_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return Error{Code::FailedPrecondition, "can't read " + path};
  std::string text(pki::kPemBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > pki::kPemBytesMax) {
    return Error{Code::InvalidArgument, path + " is larger than 256 KiB: no PEM file"};
  }
  return text;
}

Result<MemberIdentity> load_member(const MemberFiles& files) {
  PERIGEE_TRY(chain_pem, read_pem_file(files.certificate));
  PERIGEE_TRY(key_pem, read_pem_file(files.key));
  PERIGEE_TRY(authorities_pem, read_pem_file(files.authorities));
  auto chain = pki::certificates_from_pem(chain_pem);
  if (!chain) return in_file(files.certificate, chain.error());
  auto authorities = pki::certificates_from_pem(authorities_pem);
  if (!authorities) return in_file(files.authorities, authorities.error());
  const pki::Certificate& own = chain->front();
  if (auto belongs = pki::check_key_belongs(key_pem, own); !belongs) {
    return in_file(files.key, belongs.error());
  }
  auto member = pki::parse_spiffe_id(own.spiffe_id());
  if (!member) return in_file(files.certificate, member.error());
  std::string grid = member->grid;
  return MemberIdentity{
      std::move(*member),
      own,
      {{std::move(chain_pem), std::move(key_pem)}, std::move(authorities_pem), std::move(grid)}};
}

Result<> still_valid(const MemberIdentity& identity, WallTime now) {
  PERIGEE_TRY(chain, pki::certificates_from_pem(identity.tls.own.chain_pem));
  PERIGEE_TRY(authorities, pki::certificates_from_pem(identity.tls.authorities_pem));
  return pki::check_certificate(
      {chain, authorities, now, pki::CertificateUse::TlsServer, identity.certificate.spiffe_id()});
}

WallTime renewal_of(const pki::Certificate& certificate) {
  const std::int64_t end = certificate.not_after().micros;
  const std::int64_t skew = std::chrono::duration_cast<microseconds>(pki::kClockSkew).count();
  const std::int64_t life = end - certificate.not_before().micros;
  return WallTime{end - (life > skew ? life - skew : life) / 2};
}

}  // namespace perigee::control
