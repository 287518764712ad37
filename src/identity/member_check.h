// MemberCheck: where TLS is spoken between members, a site's key counts only together with that
// site's certificate: neither a stolen key nor a stolen certificate is enough, and nobody outside
// can forge what sites tell each other (hops, digests, usage).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/identity.h"

namespace perigee {

// `grid`: whose members must show certificates; empty: none must (everything is on loopback).
// `member`: the verified SPIFFE id at the other end; empty: none. Callers that are no sites pass.
// PermissionDenied.
Result<> check_member(const Caller& caller, const std::string& grid, std::string_view member);

}  // namespace perigee
