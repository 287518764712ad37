#include "site/site_identity.h"

#include <functional>
#include <utility>

#include "base/log.h"
#include "pki/spiffe_id.h"

namespace perigee {
namespace {

control::IdentityOptions identity_options(
    const SiteConfig& config,
    std::function<Task<Result<control::Renewed>>(std::string request_pem)> renew) {
  control::IdentityOptions options;
  if (config.tls.member()) {
    options.member =
        control::MemberFiles{config.tls.certificate, config.tls.key, config.tls.authorities};
  }
  options.public_certificate = config.tls.public_certificate;
  options.public_key = config.tls.public_key;
  if (config.tls.renew) options.renew = std::move(renew);
  return options;
}

Result<> check_own_name(const SiteConfig& config,
                        const std::optional<control::MemberIdentity>& identity) {
  if (!identity) return {};
  const pki::GridMember& member = identity->member;
  if (member.role == pki::MemberRole::Site && member.name == config.name.str()) return {};
  return Error{Code::FailedPrecondition,
               config.tls.certificate + " names " + pki::spiffe_id(member) + ", not site " +
                   config.name.str() + ": correct tls.certificate or site.name"};
}

bool is_former_site(std::string_view spiffe_id, const DirectorySnapshot& directory) {
  const auto member = pki::parse_spiffe_id(spiffe_id);
  if (!member || member->role != pki::MemberRole::Site) return false;
  const auto site = directory.sites.find(SiteId{member->name});
  return site == directory.sites.end() || !site->second.joined;
}

}  // namespace

SiteIdentity::SiteIdentity(Executor executor, const Clock& clock, const SiteConfig& config)
    : executor_(executor),
      clock_(clock),
      config_(config),
      keeper_(executor, clock, identity_options(config, [this](std::string request) {
                return renew(std::move(request));
              })) {}

Result<> SiteIdentity::open(const std::string& credential) {
  PERIGEE_CHECK(keeper_.load());
  PERIGEE_CHECK(check_own_name(config_, keeper_.member()));
  PERIGEE_TRY(url, control::control_url(config_.control_url, keeper_.grid()));
  renewals_.emplace(executor_, clock_, std::move(url), credential, keeper_.client());
  return {};
}

void SiteIdentity::show(net::HttpServer& server,
                        std::function<void(const control::MemberIdentity&)> renewed) {
  const bool plain = config_.tls.plain_http_from_anywhere;
  if (plain) {
    log::warning(
        "PLAIN HTTP IS TAKEN FROM ANYWHERE: keys and prompts travel in the clear. Remove "
        "tls.plain_http_from_anywhere unless every network in between is yours",
        {});
  }
  if (keeper_.server()) server.use_tls(keeper_.server(), plain);
  keeper_.watch([this, &server, plain, renewed = std::move(renewed)] {
    server.use_tls(keeper_.server(), plain);
    if (keeper_.member()) renewed(*keeper_.member());
  });
}

void SiteIdentity::cut_former_members(net::HttpServer& server,
                                      const DirectorySnapshot& directory) const {
  if (grid().empty()) return;
  server.cut_members([&](std::string_view id) { return is_former_site(id, directory); });
}

WallTime SiteIdentity::until() const {
  return keeper_.member() ? keeper_.member()->certificate.not_after() : WallTime{};
}

Task<Result<control::Renewed>> SiteIdentity::renew(std::string request_pem) {
  return control::renew_over(*renewals_, std::move(request_pem));
}

}  // namespace perigee
