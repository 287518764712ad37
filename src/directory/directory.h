// Directory: the port behind which the desired state of the grid is stored (SQLite, memory, later
// etcd). Every change makes a new revision; a watcher that knows revision R asks what came after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
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

struct DirectoryLimits {
  std::size_t history_max = 16'384;  // changed rows remembered for since()
};

// Threads: one, the caller's. Calls may touch the disk: milliseconds. Used by control, not by
// sites.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual std::uint64_t revision() const = 0;
  virtual Result<std::vector<DirectoryChange>> list() const = 0;  // all live rows
  // Rows changed after `revision`, oldest first, of whole revisions: those of one, then of further
  // ones until the rows' texts are `bytes_max` long. What follows is asked for from the last of
  // them, and costs as much as it is long. FailedPrecondition when that history is compacted or
  // `revision` is ahead of the directory: list() again.
  virtual Result<std::vector<DirectoryChange>> since(std::uint64_t revision,
                                                     std::size_t bytes_max) const = 0;
  // The newest revision whose changes are forgotten; 0: none. Touches no disk.
  virtual std::uint64_t compacted() const = 0;
  // All or none. FailedPrecondition, NotFound or AlreadyExists names the row whose
  // `expected_revision` did not match. Returns the new revision; durable when it returns.
  virtual Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes) = 0;
};

// The rules that every implementation shares.
Result<> check_expected(const DirectoryWrite& write, std::uint64_t stored_revision);  // 0: no row
Result<> check_writes(const std::vector<DirectoryWrite>& writes);  // not empty, no row twice
Result<> check_history(std::uint64_t from, std::uint64_t compacted, std::uint64_t newest);

// The changes of since(), as they are gathered.
class ChangePage {
 public:
  explicit ChangePage(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  // False: not taken, since the page is full and a new revision begins.
  bool take(DirectoryChange change);
  std::vector<DirectoryChange> changes() && { return std::move(changes_); }

 private:
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::vector<DirectoryChange> changes_;
};

}  // namespace perigee
