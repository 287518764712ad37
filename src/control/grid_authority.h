// GridAuthority: the certificate authority that control keeps for its grid: `ca.pem` and `ca.key`
// in its state folder, made by `perigee ca init`. Who has the key is the grid.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "net/tls.h"
#include "pki/authority.h"

namespace perigee::control {

inline constexpr Duration kCertificateLifetime = std::chrono::hours{24 * 7};

// Makes the two files. AlreadyExists: a grid has one authority; nothing is overwritten.
Result<pki::Certificate> init_authority(const std::string& state_dir, const std::string& grid,
                                        WallTime now);

// On the IO thread.
class GridAuthority {
 public:
  // Null when the folder has no authority. Errors name the file. `clock` must outlive it.
  static Result<std::unique_ptr<GridAuthority>> open(const std::string& state_dir,
                                                     const Clock& clock,
                                                     Duration lifetime = kCertificateLifetime);
  const std::string& grid() const { return grid_; }
  std::string authorities_pem() const { return authority_.certificate().to_pem(); }
  Sha256 fingerprint() const;  // of its certificate's DER form
  const pki::Certificate& certificate() const { return authority_.certificate(); }
  // A site's chain (PEM) for its certificate request; `host`: what clients call it by.
  Result<std::string> sign_site(std::string_view request_pem, const SiteId& site,
                                const std::string& host) const;
  // Control's own identity: a new key each time, in memory only. `hosts`: what tools call it by.
  Result<net::TlsMember> sign_control(const std::vector<std::string>& hosts) const;
  Duration lifetime() const { return lifetime_; }

 private:
  GridAuthority(pki::Authority authority, std::string grid, const Clock& clock, Duration lifetime)
      : authority_(std::move(authority)),
        grid_(std::move(grid)),
        clock_(clock),
        lifetime_(lifetime) {}
  pki::Authority authority_;
  std::string grid_;
  const Clock& clock_;
  Duration lifetime_;
};

}  // namespace perigee::control
