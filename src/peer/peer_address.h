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

  // A member calls a site whose URL is https as that site (its SPIFFE id), whatever its address,
  // and any other on loopback only: in the clear its key and its prompts would be anybody's.
  // InvalidArgument says why the site can't be called, and what to do.
  Result<net::Endpoint> of(const SiteId& site, const SiteRecord& record) const;
};

}  // namespace perigee
