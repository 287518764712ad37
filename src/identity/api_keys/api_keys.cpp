#include "identity/api_keys/api_keys.h"

#include "identity/key_text.h"

namespace perigee {
namespace {

constexpr std::size_t kAuthorizationBytesMax = 512;

bool equal_ignoring_case(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] - 'A' + 'a') : a[i];
    if (c != lower[i]) return false;
  }
  return true;
}

Error refused(std::string message) { return {Code::Unauthenticated, std::move(message)}; }

// The key behind "Bearer ".
Result<std::string_view> key_in(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  if (authorization.empty()) {
    return refused("no API key given: send it as `Authorization: Bearer KEY`");
  }
  if (authorization.size() <= kScheme.size() || authorization[kScheme.size()] != ' ' ||
      !equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return refused("the Authorization header must be `Bearer KEY`");
  }
  std::string_view key = authorization.substr(kScheme.size());
  while (!key.empty() && key.front() == ' ') key.remove_prefix(1);
  while (!key.empty() && key.back() == ' ') key.remove_suffix(1);
  if (!kind_of_key(key) || authorization.size() > kAuthorizationBytesMax) {
    return refused("this is not a Perigee key: they begin with pgk_live_, pgo_ or pgs_");
  }
  return key;
}

// Why a key is not in the table: the checksum is looked at here only, as every key in it has one.
Error unknown(std::string_view key) {
  if (!well_typed(key)) {
    return refused("mistyped or cut API key (its checksum does not match): copy it again whole");
  }
  if (kind_of_key(key) == KeyKind::JoinToken) {
    return refused("a join token is not a key: use it with `perigee site join`");
  }
  return refused("unknown API key: it was removed or belongs to another grid; ask the operator");
}

}  // namespace

ApiKeys::Holder ApiKeys::holder_of(const KeyRecord& key, const DirectorySnapshot& snapshot) {
  Holder holder{{key.role, key.tenant, key.id, SiteId{}}, key.expires, Standing::Good};
  holder.caller.operator_role = key.operator_role;
  if (key.scope != KeyScope{}) {
    holder.caller.bounds =
        std::make_shared<const CallerBounds>(CallerBounds{key.scope, key.account});
  }
  holder.replaced = !key.replaced_by.empty();
  if (key.role == Role::Tenant) {
    const auto tenant = snapshot.tenants.find(key.tenant);
    if (tenant == snapshot.tenants.end())
      holder.standing = Standing::TenantUnknown;
    else if (tenant->second.suspended)
      holder.standing = Standing::TenantSuspended;
  }
  if (key.revoked) holder.standing = Standing::Revoked;
  return holder;
}

void ApiKeys::update(const DirectorySnapshot& snapshot) {
  holders_.clear();
  holders_.reserve(snapshot.keys.size() + snapshot.sites.size());
  for (const auto& [id, key] : snapshot.keys) {
    if (key.role != Role::Site) holders_.insert_or_assign(key.hash, holder_of(key, snapshot));
  }
  for (const auto& [id, site] : snapshot.sites) {
    if (!site.joined) continue;
    holders_.insert_or_assign(
        site.key_hash,
        Holder{{Role::Site, TenantId{}, "site:" + id.str(), id}, {}, Standing::Good, false});
  }
}

Result<Caller> ApiKeys::authenticate(std::string_view authorization) const {
  PERIGEE_TRY(key, key_in(authorization));
  const auto found = holders_.find(sha256(key));
  if (found == holders_.end()) return unknown(key);
  const Holder& holder = found->second;
  switch (holder.standing) {
    case Standing::Good: break;
    case Standing::Revoked:
      return refused("this API key was revoked: ask the operator for a new one");
    case Standing::TenantSuspended:
      return Error{Code::PermissionDenied,
                   "tenant " + holder.caller.tenant.str() + " is suspended: contact the operator"};
    case Standing::TenantUnknown:
      return refused("this API key's tenant was removed: ask the operator for a new one");
  }
  if (holder.expires.micros != 0 && holder.expires <= clock_.wall()) {
    return refused(holder.replaced
                       ? "this API key was rotated and its overlap is over: use its successor"
                       : "this API key has expired: ask the operator for a new one");
  }
  return holder.caller;
}

}  // namespace perigee
