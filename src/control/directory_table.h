// DirectoryTable: control's working copy of the directory: the snapshot that sites get, the join
// tokens that they don't, the revision of each row, and the events for those who watch.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/audit_log.h"
#include "directory/directory.h"
#include "directory/records.h"
#include "identity/api_keys/api_keys.h"

namespace perigee::control {

// On the IO thread. A change is stored first and visible after; when storing fails, nothing
// changed.
class DirectoryTable {
 public:
  // Reads all rows; on the first start of a directory names its grid and its epoch.
  // FailedPrecondition when it belongs to another grid; an empty `grid` takes the stored name. Each
  // load begins a generation (docs/directory.md, "Histories"); `restored` begins a new epoch: the
  // operator says that this is an older copy and that what came after it is to be forgotten. As
  // every change that somebody makes, that is written to `audit` first; null: to none.
  // `clock` must outlive the table.
  static Result<std::unique_ptr<DirectoryTable>> load(std::unique_ptr<Directory> directory,
                                                      const Clock& clock, std::string_view grid,
                                                      bool restored = false,
                                                      AuditLog* audit = nullptr);

  const DirectorySnapshot& snapshot() const { return snapshot_; }
  // One text for all who ask until the next change: it may be long, and they slow to read it.
  std::shared_ptr<const std::string> snapshot_json();
  const std::map<std::string, JoinTokenRecord>& join_tokens() const { return join_tokens_; }
  const Identity& identity() const { return keys_; }
  std::uint64_t row_revision(std::string_view kind, std::string_view key) const;  // 0: no such row

  // Whether apply() would refuse them: their revisions, compared with those of the rows.
  Result<> check(const std::vector<DirectoryWrite>& writes) const;
  // Stores, then updates all of the above and calls on_change.
  Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes);
  // How what somebody asked for is applied: `entry.writes`, once its line is on the disk of `audit`
  // (null: none is kept). What check() refuses leaves no line; where applying fails, a second line
  // says so. Fills in the entry's revision.
  Result<std::uint64_t> record_and_apply(AuditEntry entry, AuditLog* audit);

  // The first events after `from` (directory/records_json.h, to_event), oldest first: one, and
  // further ones until they, or the rows that they are made of, are `bytes_max` long; none when
  // `from` is the newest revision. The rest is asked for from the last of them.
  // FailedPrecondition: take a new snapshot.
  using Event = std::shared_ptr<const std::string>;
  struct NumberedEvent {
    std::uint64_t revision = 0;
    Event text;
  };
  Result<std::vector<NumberedEvent>> events_since(std::uint64_t from, std::size_t bytes_max) const;
  // Whether events_since() would refuse; reads no rows.
  Result<> check_since(std::uint64_t from) const;
  // Whether a snapshot of this epoch and revision is part of this directory's history.
  // FailedPrecondition with `param` "epoch": of another life, take a new snapshot; with "history":
  // its holder knows what this directory does not, and must keep it.
  Result<> knows(std::string_view epoch, std::uint64_t revision) const;

  void on_change(std::function<void()> callback) { on_change_ = std::move(callback); }

 private:
  DirectoryTable(std::unique_ptr<Directory> directory, const Clock& clock);
  Result<> read_all();
  Result<> name_grid(std::string_view grid);
  Result<> begin_generation(bool restored, WallTime now, AuditLog* audit);
  Result<> take(const DirectoryChange& change);
  bool is_recent(std::uint64_t from) const;  // `recent_` has all that came after it
  static NumberedEvent event_of(std::uint64_t revision, std::vector<DirectoryChange> rows);

  std::unique_ptr<Directory> directory_;
  DirectorySnapshot snapshot_;
  std::shared_ptr<const std::string> snapshot_json_;  // null: not written since the last change
  std::map<std::string, JoinTokenRecord> join_tokens_;
  std::map<std::uint64_t, std::string> generations_;              // by the first revision of each
  std::unordered_map<std::string, std::uint64_t> row_revisions_;  // by "kind key"
  ApiKeys keys_;
  std::deque<NumberedEvent> recent_;
  std::function<void()> on_change_;
};

}  // namespace perigee::control
