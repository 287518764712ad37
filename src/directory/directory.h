// Directory: the port behind which the desired state of the grid is stored (SQLite, memory, later
// etcd). Every change makes a new revision; a watcher that knows revision R asks what came after.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "directory/records.h"

namespace perigee {

// One row as stored: `kind` is site, model, placement, tenant, key or meta; `key` is unique within
// its kind; `value` is the row's JSON (directory/records_json.h), empty when deleted.
struct DirectoryChange {
  std::uint64_t revision = 0;
  std::string kind;
  std::string key;
  std::string value;
};

struct DirectoryWrite {
  std::string kind;
  std::string key;
  std::string value;  // empty: delete
  // The revision at which the row was read, to detect a lost update; 0: must not exist yet;
  // kAnyRevision: whatever is there.
  std::uint64_t expected_revision = 0;
};
inline constexpr std::uint64_t kAnyRevision = ~std::uint64_t{0};

// Threads: one, the caller's. Calls may touch the disk: milliseconds. Used by control, not by sites.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual std::uint64_t revision() const = 0;
  virtual Result<std::vector<DirectoryChange>> list() const = 0;  // all live rows
  // Rows changed after `revision`, oldest first; FailedPrecondition when that history is compacted:
  // list() again.
  virtual Result<std::vector<DirectoryChange>> since(std::uint64_t revision) const = 0;
  // All or none. FailedPrecondition or AlreadyExists names the row that did not match. Returns the
  // new revision; durable when it returns.
  virtual Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes) = 0;
};

}  // namespace perigee
