#include "site/breaker_watch.h"

namespace perigee {

const std::vector<BreakerReport>& BreakerWatch::look(const std::vector<CandidateId>& candidates,
                                                     Instant now) {
  std::map<CandidateId, Instant> failing;
  reports_.clear();
  for (const CandidateId& id : candidates) {
    const auto index = router_.find(id);
    if (!index) continue;
    BreakerReport& report = reports_.emplace_back(id, router_.breaker(*index, now));
    if (report.state == BreakerState::Closed) continue;
    const auto before = failing_.find(id);
    report.since = before == failing_.end() ? now : before->second;
    failing.emplace(id, report.since);
  }
  failing_ = std::move(failing);
  return reports_;
}

}  // namespace perigee
