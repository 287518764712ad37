// By which URLs sites may be called in a grid with certificates: over TLS, and so that no two of
// them, and none and control, get certificates for one host.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "directory/records.h"

namespace perigee::control {

// The one spelling of a host: lower case, without a name's trailing dot, IPv6 in its shortest form.
std::string canonical_host(std::string_view host);
// Of the site's `url`, canonical; empty of a Unix socket.
std::string host_of(const SiteRecord& site);
bool is_secure(const SiteRecord& site);  // its `url` is https
// FailedPrecondition, of `url`: the host is another site's or among `own_hosts`, control's; a
// certificate for it would let one pass for the other. Loopback belongs to everyone on the machine.
Result<> check_host(const DirectorySnapshot& snapshot, std::span<const std::string> own_hosts,
                    const SiteRecord& site);
// Also InvalidArgument, of `url`: it is not https.
Result<> check_site_url(const DirectorySnapshot& snapshot, std::span<const std::string> own_hosts,
                        const SiteRecord& site);

}  // namespace perigee::control
