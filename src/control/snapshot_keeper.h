// SnapshotKeeper: writes the newest snapshot to its file on a thread of its own.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/bounded_queue.h"
#include "directory/records.h"

namespace perigee::control {

// keep() on the IO thread, never waiting. When snapshots come faster than the disk takes them, only
// the newest is written. A failing disk is logged, and tried again with the next snapshot.
class SnapshotKeeper {
 public:
  using Snapshot = std::shared_ptr<const DirectorySnapshot>;
  explicit SnapshotKeeper(std::string path);
  ~SnapshotKeeper();  // waits for the newest to be written
  SnapshotKeeper(const SnapshotKeeper&) = delete;
  SnapshotKeeper& operator=(const SnapshotKeeper&) = delete;
  void keep(Snapshot snapshot);

 private:
  void write_newest();
  const std::string path_;
  BoundedQueue<Snapshot> queue_;
  Snapshot waiting_;    // did not fit into the queue: goes with the next, or at the end
  std::thread writer_;  // last: starts when all else is ready
};

}  // namespace perigee::control
