// SnapshotKeeper: writes the newest snapshot to its file on a thread of its own.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/instant.h"
#include "directory/records.h"

namespace perigee::control {

// When snapshots come faster than the disk takes them, only the newest is written. While it can't
// be, it is tried again after every `pause`: what was revoked must not come back with an older file
// because nothing else changed since. A failure is logged when its text changes.
//
// A mutex and no BoundedQueue: a queue refuses the newest when it is full, and here the newest
// alone counts. The lock is held for the exchange of a pointer, never while a file is written.
class SnapshotKeeper {
 public:
  using Snapshot = std::shared_ptr<const DirectorySnapshot>;
  explicit SnapshotKeeper(std::string path, Duration pause = seconds{3});
  ~SnapshotKeeper();  // waits for the newest to be written, or to fail once more
  SnapshotKeeper(const SnapshotKeeper&) = delete;
  SnapshotKeeper& operator=(const SnapshotKeeper&) = delete;
  // On the IO thread, which never waits for the disk.
  void keep(Snapshot snapshot);

 private:
  void write_newest();
  bool save(const DirectorySnapshot& snapshot);
  const std::string path_;
  const Duration pause_;
  std::string noted_;  // the writer's: the last failure; empty: the last went well
  std::mutex mutex_;   // guards the next two
  Snapshot newest_;    // not yet written
  bool closed_ = false;
  std::condition_variable changed_;
  std::thread writer_;  // last: starts when all else is ready
};

}  // namespace perigee::control
