// ApiKeys: an Identity over the keys of a directory snapshot: tenants', operators' and sites'.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "base/clock.h"
#include "directory/records.h"
#include "identity/identity.h"

namespace perigee {

// On the IO thread. Starts empty: every key is unknown until update(). A key is looked up by its
// SHA-256, so that neither the table nor its timing tells anything about a key.
class ApiKeys final : public Identity {
 public:
  // `clock` must outlive this.
  explicit ApiKeys(const Clock& clock) : clock_(clock) {}
  // Takes effect at once for every later authenticate(). Looks only at what the snapshot does not
  // share with the one before: all keys and sites of the first, few of one that followed a change.
  void update(const DirectorySnapshot& snapshot);
  Result<Caller> authenticate(std::string_view authorization) const override;
  std::size_t size() const { return holders_.size(); }

 private:
  struct Holder {
    Caller caller;
    WallTime expires;
    bool revoked = false;
    bool replaced = false;  // by another key, until `expires`
  };
  struct FirstBytes {
    std::size_t operator()(const Sha256& digest) const noexcept {
      std::size_t bytes = 0;
      std::memcpy(&bytes, digest.data(), sizeof bytes);
      return bytes;
    }
  };
  void update_keys(const SharedMap<std::string, KeyRecord>& keys);
  void update_sites(const SharedMap<SiteId, SiteRecord>& sites);
  void forget(const Sha256& hash, std::string_view key_id);
  Result<> check_tenant(const Caller& caller) const;

  const Clock& clock_;
  // As of the last update().
  SharedMap<std::string, KeyRecord> keys_;
  SharedMap<SiteId, SiteRecord> sites_;
  SharedMap<TenantId, TenantRecord> tenants_;
  std::unordered_map<Sha256, Holder, FirstBytes> holders_;
};

}  // namespace perigee
