// UsageDesk: control's side of usage: takes what sites deliver and sums it up, on a thread of its
// own, so that a commit or a long sum never holds the directory back. What can't be billed as it
// stands (control/usage_check.h) is put aside until an operator takes it in or drops it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/audit_log.h"
#include "control/control_api.h"
#include "control/directory_table.h"
#include "ledger/sqlite/usage_store.h"
#include "net/task.h"

namespace perigee::control {

// Deliveries and sums under way at once; ResourceExhausted beyond.
inline constexpr std::size_t kUsageJobsMax = 64;
// Records that one call takes in or drops: an audit line shows as many.
inline constexpr std::size_t kAsideCallMax = 64;

// Since the process began; `aside_now` as it stands.
struct UsageCounts {
  std::uint64_t stored = 0;
  std::uint64_t known = 0;    // delivered again, or the other one of two with one id stands
  std::uint64_t aside = 0;    // deliveries of records that were put aside
  std::uint64_t refused = 0;  // too long to be kept
  std::uint64_t full = 0;     // deliveries that were sent back since their site has too many aside
  std::map<AsideReason, std::size_t> aside_now;
};

// Who settles what was put aside, for the audit log.
struct UsageActor {
  std::string key_id;
  std::string from;
};
enum class AsideEnd : std::uint8_t { TakeIn, Drop };

// On the IO thread. Destroying it waits for the job that runs.
class UsageDesk {
 public:
  // Reads when keys were last used: waits for the disk. `table` and `clock` must outlive this.
  UsageDesk(Executor executor, std::unique_ptr<UsageStore> store, const DirectoryTable& table,
            const Clock& clock);
  ~UsageDesk();
  UsageDesk(const UsageDesk&) = delete;
  UsageDesk& operator=(const UsageDesk&) = delete;
  // From now on nothing aside is settled that is not written there first. It must outlive this.
  void keep_audit(AuditLog& audit);
  // {"stored":2,"known":1,"aside":0,"refused":0}: on the disk when it is answered.
  // ResourceExhausted: the site has too much aside; what could be stored is.
  Task<Result<ApiAnswer>> take(std::string body, SiteId site);
  // When a key of the directory was last used, as usage tells it: a second or so late; micros 0:
  // never. There are no more of these than keys.
  WallTime last_use(const std::string& key_id) const;
  // {"object":"list","data":[...],"aside":0}
  Task<Result<ApiAnswer>> report(std::string query);
  // What is aside: {"object":"list","data":[...],"total":7}
  Task<Result<ApiAnswer>> list_aside(std::string query);
  // Takes in or drops what the body names, at most kAsideCallMax of it; docs/control_api.md.
  Task<Result<ApiAnswer>> settle_aside(std::string body, AsideEnd end, UsageActor actor);
  const UsageCounts& counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perigee::control
