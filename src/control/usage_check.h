// UsageCheck: whether a record that a site delivered can be billed as it stands. A site may be
// wrong (its clock, a restored backup) or lie; what is not plausible is put aside for an operator,
// neither billed nor lost. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "directory/records.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/usage_aside.h"

namespace perigee::control {

inline constexpr std::int64_t kUsageAheadMax_us = 3'600'000'000;  // an hour: of clocks that differ
// An island may have been away for long; a clock that begins in 1970 has not.
inline constexpr std::int64_t kUsageAgeMax_us = 90 * 86'400'000'000;
// Of prompt and of completion: above what any request has, with all choices.
inline constexpr std::uint32_t kUsageTokensMax = std::uint32_t{1} << 24U;

struct UsageFault {
  AsideReason reason = AsideReason::Unreadable;
  std::string why;  // one sentence
};

// What is wrong with a record that `site` delivered at `now`; nullopt: nothing. An unknown tenant
// is said last: once it is known nothing else may be wrong.
std::optional<UsageFault> usage_fault(const UsageRecord& record, const SiteId& site,
                                      const SharedMap<TenantId, TenantRecord>& tenants,
                                      WallTime now);

}  // namespace perigee::control
