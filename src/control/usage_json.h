// Usage records on their way from a site to control, and the sums that control shows, as JSON
// (docs/control_api.md, "Usage").
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/usage_store.h"

namespace perigee::control {

// Of one delivery: at the longest names it still fits control's bound on a body.
inline constexpr std::size_t kUsageBatchMax = 200;

std::string usage_batch_json(std::span<const UsageRecord> records);

struct UsageDelivery {
  std::vector<UsageRecord> records;
  std::vector<std::string> refused;  // one sentence each: what was wrong with a record
};
// What `site` delivered. A record that is wrong, or another site's, is refused alone: it must not
// hold back those behind it. InvalidArgument when it is no delivery at all. Unknown fields are
// ignored (a newer site).
Result<UsageDelivery> parse_usage_batch(std::string_view text, const SiteId& site);

// "by=tenant,model&from_us=...&until_us=...&tenant=acme"; InvalidArgument names the field.
Result<UsageQuery> parse_usage_query(std::string_view query);
std::string usage_sums_json(const UsageQuery& query, std::span<const UsageSum> sums);

}  // namespace perigee::control
