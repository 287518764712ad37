// UsageDesk: control's side of usage: takes what sites deliver and sums it up, on a thread of its
// own, so that a commit or a long sum never holds the directory back.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "control/control_api.h"
#include "ledger/sqlite/usage_store.h"
#include "net/task.h"

namespace perigee::control {

// Deliveries and sums under way at once; ResourceExhausted beyond.
inline constexpr std::size_t kUsageJobsMax = 64;

// On the IO thread. Destroying it waits for the job that runs.
class UsageDesk {
 public:
  // Reads when keys were last used: waits for the disk.
  UsageDesk(Executor executor, std::unique_ptr<UsageStore> store);
  ~UsageDesk();
  UsageDesk(const UsageDesk&) = delete;
  UsageDesk& operator=(const UsageDesk&) = delete;
  // {"stored":2,"known":1,"refused":0}: on the disk when it is answered.
  Task<Result<ApiAnswer>> take(std::string body, SiteId site);
  // When a key was last used, as usage tells it: a second or so late; micros 0: never.
  WallTime last_use(const std::string& key_id) const;
  // {"object":"list","data":[...]}
  Task<Result<ApiAnswer>> report(std::string query);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perigee::control
