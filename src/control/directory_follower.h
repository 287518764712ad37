// DirectoryFollower: a site's copy of the directory. Follows control's watch, keeps the newest
// snapshot in memory and on disk, and carries on with it when control is out of reach (island).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "directory/records.h"
#include "net/task.h"
#include "net/tls.h"

namespace perigee::control {

struct FollowerOptions {
  std::string url;        // of control: "http://127.0.0.1:7000"
  std::string key;        // a site's (or an operator's)
  std::string file;       // where the snapshot is kept; empty: nowhere
  std::string grid = {};  // this process's, when it is a member with certificates
  std::shared_ptr<net::TlsClientSource> tls = nullptr;
  std::uint64_t seed = 0;
  Duration retry_min = milliseconds{200};  // before the second try; doubles, with jitter
  Duration retry_max = seconds{10};
  // hurry() gives up a try that is older: TCP sends again what was lost after a second at first,
  // and only later after more.
  Duration hopeless_after = seconds{1};
};

// How things stand with control. Never yet connected counts as an island since the start.
struct ControlLink {
  bool connected = false;
  Instant since;      // of this state
  std::string error;  // why not connected, for people; empty while connected
};

struct FollowerState;

// On the IO thread; a thread of its own writes the file. A site that was cut off sees, once
// reconnected, every change since; when those are forgotten it takes a whole snapshot. Nothing
// that control sends and nothing on the disk can bring the process down.
class DirectoryFollower {
 public:
  using Snapshot = std::shared_ptr<const DirectorySnapshot>;
  using OnChange = std::function<void(const Snapshot&)>;

  // `clock` must outlive the follower and the event loop's last handler.
  DirectoryFollower(Executor executor, const Clock& clock, FollowerOptions options,
                    OnChange on_change);
  // Stops at once; waits until the newest snapshot is on the disk. `on_change` is not called after.
  ~DirectoryFollower();
  DirectoryFollower(const DirectoryFollower&) = delete;
  DirectoryFollower& operator=(const DirectoryFollower&) = delete;

  // Reads the file, and when it holds a snapshot calls `on_change` with it before returning; then
  // follows control. Once. InvalidArgument: the URL. A missing or damaged file is no error.
  Result<> start();
  // The network is back, as it seems: asks control now, if it is out of reach, and not when the
  // pause is over that grew while there was none.
  void hurry();
  // The newest; null until there is one.
  const Snapshot& snapshot() const;
  const ControlLink& link() const;

 private:
  std::shared_ptr<FollowerState> state_;
};

}  // namespace perigee::control
