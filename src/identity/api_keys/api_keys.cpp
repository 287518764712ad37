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

std::string site_key_id(const SiteId& site) { return "site:" + site.str(); }

Caller caller_of(const KeyRecord& key) {
  Caller caller{key.role, key.tenant, key.id, SiteId{}};
  caller.operator_role = key.operator_role;
  if (key.scope != KeyScope{}) {
    caller.bounds = std::make_shared<const CallerBounds>(CallerBounds{key.scope, key.account});
  }
  return caller;
}

}  // namespace

// Unless another key has taken over the hash.
void ApiKeys::forget(const Sha256& hash, std::string_view key_id) {
  const auto found = holders_.find(hash);
  if (found != holders_.end() && found->second.caller.key_id == key_id) holders_.erase(found);
}

void ApiKeys::update_keys(const SharedMap<std::string, KeyRecord>& keys) {
  using Keys = SharedMap<std::string, KeyRecord>;
  Keys::differences(keys_, keys, [this](const auto* before, const auto* after) {
    if (before != nullptr) forget(before->second.hash, before->first);
    if (after == nullptr || after->second.role == Role::Site) return;
    const KeyRecord& key = after->second;
    holders_.insert_or_assign(
        key.hash, Holder{caller_of(key), key.expires, key.revoked, !key.replaced_by.empty()});
  });
  keys_ = keys;
}

void ApiKeys::update_sites(const SharedMap<SiteId, SiteRecord>& sites) {
  using Sites = SharedMap<SiteId, SiteRecord>;
  Sites::differences(sites_, sites, [this](const auto* before, const auto* after) {
    if (before != nullptr) forget(before->second.key_hash, site_key_id(before->first));
    if (after == nullptr || !after->second.joined) return;
    const auto& [id, site] = *after;
    holders_.insert_or_assign(site.key_hash,
                              Holder{{Role::Site, TenantId{}, site_key_id(id), id}, {}});
  });
  sites_ = sites;
}

void ApiKeys::update(const DirectorySnapshot& snapshot) {
  if (holders_.empty()) holders_.reserve(snapshot.keys.size() + snapshot.sites.size());
  update_keys(snapshot.keys);
  update_sites(snapshot.sites);
  tenants_ = snapshot.tenants;
}

Result<> ApiKeys::check_tenant(const Caller& caller) const {
  if (caller.role != Role::Tenant) return {};
  const auto tenant = tenants_.find(caller.tenant);
  if (tenant == tenants_.end()) {
    return refused("this API key's tenant was removed: ask the operator for a new one");
  }
  if (tenant->second.suspended) {
    return Error{Code::PermissionDenied,
                 "tenant " + caller.tenant.str() + " is suspended: contact the operator"};
  }
  return {};
}

Result<Caller> ApiKeys::authenticate(std::string_view authorization) const {
  PERIGEE_TRY(key, key_in(authorization));
  const auto found = holders_.find(sha256(key));
  if (found == holders_.end()) return unknown(key);
  const Holder& holder = found->second;
  if (holder.revoked) return refused("this API key was revoked: ask the operator for a new one");
  PERIGEE_CHECK(check_tenant(holder.caller));
  if (holder.expires.micros != 0 && holder.expires <= clock_.wall()) {
    return refused(holder.replaced
                       ? "this API key was rotated and its overlap is over: use its successor"
                       : "this API key has expired: ask the operator for a new one");
  }
  return holder.caller;
}

}  // namespace perigee
