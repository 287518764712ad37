// Identity: who calls. Credentials are checked against what the directory says; nothing here does
// IO.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "directory/records.h"
#include "directory/role.h"

namespace perigee {

// What binds a caller beyond its tenant. Shared and immutable: handing it on allocates nothing.
struct CallerBounds {
  KeyScope scope;
  std::string account;  // whose rates are counted: keys that were rotated share one
};

// Accounts of token subjects are named "iss:ISSUER:SUBJECT"; others are ids of keys.
inline constexpr std::string_view kIssuerAccount = "iss:";
// The issuer that an account is of; empty: it is a key's.
inline std::string issuer_of_account(std::string_view account) {
  if (!account.starts_with(kIssuerAccount)) return {};
  account.remove_prefix(kIssuerAccount.size());
  return std::string{account.substr(0, account.find(':'))};
}

// Who a credential belongs to.
struct Caller {
  Role role = Role::Tenant;
  TenantId tenant;                                  // for Role::Tenant
  std::string key_id;                               // names the key in records and logs; not secret
  SiteId site;                                      // for Role::Site
  std::shared_ptr<const CallerBounds> bounds = {};  // null: nothing but the tenant's own
  OperatorRole operator_role = OperatorRole::Viewer;  // for Role::Operator
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
