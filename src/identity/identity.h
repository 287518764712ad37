// Identity: who calls. Credentials are checked against what the directory says; nothing here does
// IO.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "directory/role.h"

namespace perigee {

// Who a credential belongs to.
struct Caller {
  Role role = Role::Tenant;
  TenantId tenant;     // for Role::Tenant
  std::string key_id;  // names the key in records and logs; not secret
  SiteId site;         // for Role::Site
};

class Identity {
 public:
  virtual ~Identity() = default;
  // `authorization` is the whole header value ("Bearer ..."). Unauthenticated with a message that
  // says what to do (missing, malformed, unknown, revoked, expired). IO thread, about a
  // microsecond.
  virtual Result<Caller> authenticate(std::string_view authorization) const = 0;
};

}  // namespace perigee
