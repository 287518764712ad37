// Cache salts: what separates the prefix caches of tenants. The same at every site of the grid.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

#include "base/id.h"

namespace perigee {

std::string cache_salt(const std::string& grid, const TenantId& tenant);

// The salts made before: one is asked for with every request and costs a SHA-256. IO thread.
class CacheSaltTable {
 public:
  static constexpr std::size_t kSaltsMax = 4096;  // then it starts anew
  // As cache_salt(). Valid until the next call.
  const std::string& find(const std::string& grid, const TenantId& tenant);
  std::size_t size() const { return salts_.size(); }

 private:
  std::string grid_;  // of all salts held
  std::unordered_map<TenantId, std::string> salts_;
};

}  // namespace perigee
