#include "control/usage_check.h"

#include <algorithm>

namespace perigee::control {
namespace {

std::optional<std::string> time_fault(const UsageRecord& record, WallTime now) {
  if (record.ended.micros < record.started.micros) return "it ended before it began";
  if (record.ended.micros > now.micros + kUsageAheadMax_us) {
    return "it ends in the future: a clock is wrong";
  }
  if (record.started.micros < now.micros - kUsageAgeMax_us) {
    return "it began more than 90 days ago: a clock is wrong, or the site was away for long";
  }
  return std::nullopt;
}

std::optional<std::string> counts_fault(const UsageRecord& record) {
  if (std::max(record.prompt_tokens, record.completion_tokens) > kUsageTokensMax) {
    return "more tokens than any request has";
  }
  if (record.cached_tokens > record.prompt_tokens) return "more cached tokens than the prompt has";
  return std::nullopt;
}

}  // namespace

std::optional<UsageFault> usage_fault(const UsageRecord& record, const SiteId& site,
                                      const SharedMap<TenantId, TenantRecord>& tenants,
                                      WallTime now) {
  if (record.ingress_site != site) {
    return UsageFault{AsideReason::IngressSite, "its ingress is another site"};
  }
  if (auto why = counts_fault(record)) return UsageFault{AsideReason::Counts, std::move(*why)};
  if (auto why = time_fault(record, now)) return UsageFault{AsideReason::Time, std::move(*why)};
  if (!tenants.contains(record.tenant)) {
    return UsageFault{AsideReason::UnknownTenant, "the directory has no such tenant"};
  }
  return std::nullopt;
}

}  // namespace perigee::control
