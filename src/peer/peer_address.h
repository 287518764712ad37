// Where a member of the grid finds another site, and whom it must find there. Pure.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "directory/records.h"
#include "net/endpoint.h"

namespace perigee {

struct PeerAddresses {
  std::map<SiteId, net::Endpoint> instead = {};  // of the directory's URL: named in site.toml
  std::string grid = {};  // empty: this site is no member, it has no certificate

  // A member calls a site whose URL is https as that site (its SPIFFE id), whatever its address.
  // InvalidArgument: it has no usable URL.
  Result<net::Endpoint> of(const SiteId& site, const SiteRecord& record) const;
};

}  // namespace perigee
