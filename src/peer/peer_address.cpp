#include "peer/peer_address.h"

#include "pki/spiffe_id.h"

namespace perigee {

Result<net::Endpoint> PeerAddresses::of(const SiteId& site, const SiteRecord& record) const {
  const auto address = instead.find(site);
  const auto url = net::parse_url(record.url);
  if (address == instead.end() && !url) {
    return Error{Code::InvalidArgument, "site " + site.str() + " has no usable url", "url"};
  }
  net::Endpoint where = address == instead.end() ? url->endpoint : address->second;
  const bool secure = url && !url->endpoint.tls_name.empty() && !grid.empty();
  if (secure) {
    where.tls_name = pki::site_spiffe_id(grid, site);
  } else if (!grid.empty() && !where.is_loopback()) {
    return Error{Code::InvalidArgument,
                 "site " + site.str() +
                     " has a url in the clear, and this grid has certificates: " +
                     "register it with a url that begins with https://",
                 "url"};
  }
  return where;
}

}  // namespace perigee
