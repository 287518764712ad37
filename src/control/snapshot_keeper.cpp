#include "control/snapshot_keeper.h"

#include <utility>

#include "base/log.h"
#include "control/snapshot_file.h"

namespace perigee::control {
namespace {

constexpr std::size_t kSnapshotsMax = 64;

void save(const std::string& path, const DirectorySnapshot& snapshot) {
  if (const Result<> saved = save_snapshot(path, snapshot); !saved) {
    log::error("the directory snapshot could not be stored",
               {{"file", path}, {"error", saved.error().message}});
  }
}

}  // namespace

SnapshotKeeper::SnapshotKeeper(std::string path)
    : path_(std::move(path)), queue_(kSnapshotsMax), writer_([this] { write_newest(); }) {}

SnapshotKeeper::~SnapshotKeeper() {
  queue_.close();
  writer_.join();
  if (waiting_) save(path_, *waiting_);
}

void SnapshotKeeper::keep(Snapshot snapshot) {
  waiting_ = queue_.try_push(std::move(snapshot)) ? nullptr : std::move(snapshot);
}

void SnapshotKeeper::write_newest() {
  while (queue_.wait_for_value()) {
    Snapshot newest;
    while (auto next = queue_.try_pop()) newest = std::move(*next);
    save(path_, *newest);
  }
}

}  // namespace perigee::control
