// SiteIdentity: who a site is to other members of its grid, and what it shows to clients: its [tls]
// section, kept fresh. On the IO thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/control_client.h"
#include "control/identity_keeper.h"
#include "directory/records.h"
#include "net/http_server.h"
#include "site/config.h"

namespace perigee {

class SiteIdentity {
 public:
  // All must outlive it.
  SiteIdentity(Executor executor, const Clock& clock, const SiteConfig& config);
  // Reads the files. FailedPrecondition, InvalidArgument: a file that can't be used, another site's
  // certificate. `credential`: the site's key, to be given the next certificate with.
  Result<> open(const std::string& credential);
  // From now on `server`, which must outlive this, shows the newest certificate, and `renewed` is
  // told each.
  void show(net::HttpServer& server, std::function<void(const control::MemberIdentity&)> renewed);
  // Cuts what comes from sites that the directory does not know any more: a removed site's
  // certificate is good for days, its connections end now.
  void cut_former_members(net::HttpServer& server, const DirectorySnapshot& directory) const;

  std::string grid() const { return keeper_.grid(); }  // empty: it is no member
  const std::shared_ptr<net::TlsClientSource>& client() const { return keeper_.client(); }
  WallTime until() const;  // of its own certificate; 0: it has none
  // None: the site has no certificate.
  const std::optional<control::MemberIdentity>& member() const { return keeper_.member(); }

 private:
  Task<Result<control::Renewed>> renew(std::string request_pem);
  Executor executor_;
  const Clock& clock_;
  const SiteConfig& config_;
  control::IdentityKeeper keeper_;
  std::optional<control::ControlClient> renewals_;
};

}  // namespace perigee
