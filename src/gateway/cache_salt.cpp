#include "gateway/cache_salt.h"

#include "base/secret.h"

namespace perigee {

std::string cache_salt(const std::string& grid, const TenantId& tenant) {
  const Sha256 digest = sha256("perigee cache salt\n" + grid + "\n" + tenant.str());
  return to_hex(std::span{digest}.first(16));
}

const std::string& CacheSaltTable::find(const std::string& grid, const TenantId& tenant) {
  if (grid != grid_) {
    salts_.clear();
    grid_ = grid;
  }
  if (const auto known = salts_.find(tenant); known != salts_.end()) return known->second;
  if (salts_.size() >= kSaltsMax) salts_.clear();
  return salts_.emplace(tenant, cache_salt(grid, tenant)).first->second;
}

}  // namespace perigee
