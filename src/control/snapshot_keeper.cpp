#include "control/snapshot_keeper.h"

#include <utility>

#include "base/log.h"
#include "control/snapshot_file.h"

namespace perigee::control {

SnapshotKeeper::SnapshotKeeper(std::string path, Duration pause)
    : path_(std::move(path)), pause_(pause), writer_([this] { write_newest(); }) {}

SnapshotKeeper::~SnapshotKeeper() {
  {
    const std::scoped_lock lock{mutex_};
    closed_ = true;
  }
  changed_.notify_one();
  writer_.join();
}

void SnapshotKeeper::keep(Snapshot snapshot) {
  {
    const std::scoped_lock lock{mutex_};
    newest_.swap(snapshot);
  }
  changed_.notify_one();
}

void SnapshotKeeper::write_newest() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return newest_ || closed_; });
    if (!newest_) return;
    Snapshot next = std::exchange(newest_, nullptr);
    const bool last_try = closed_;
    lock.unlock();
    const bool saved = save(*next);
    lock.lock();
    if (saved) continue;
    if (last_try) return;
    if (!newest_) newest_ = std::move(next);
    changed_.wait_for(lock, pause_, [this] { return closed_; });
  }
}

bool SnapshotKeeper::save(const DirectorySnapshot& snapshot) {
  const Result<> saved = save_snapshot(path_, snapshot);
  std::string trouble = saved ? std::string{} : saved.error().message;
  if (!saved && trouble != noted_) {
    log::error("the directory snapshot could not be stored: it is tried again",
               {{"file", path_}, {"error", trouble}});
  }
  noted_ = std::move(trouble);
  return saved.has_value();
}

}  // namespace perigee::control
