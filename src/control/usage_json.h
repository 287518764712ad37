// Usage records on their way from a site to control, and the sums that control shows, as JSON
// (docs/control_api.md, "Usage").
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/usage_check.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/usage_store.h"

namespace perigee::control {

// Of one delivery: at the longest names it still fits control's bound on a body.
inline constexpr std::size_t kUsageBatchMax = 200;

std::string usage_batch_json(std::span<const UsageRecord> records);

// What is wrong with a record that can be read; nullopt: nothing (control/usage_check.h).
using UsageJudge = std::function<std::optional<UsageFault>(const UsageRecord&)>;

struct UsageDelivery {
  std::vector<UsageRecord> records;  // to be billed
  std::vector<AsideRecord> aside;
  std::size_t too_long = 0;  // neither: beyond kAsideBytesMax
};
// What `site` delivered at `now`. A record that can't be read, or that `judge` finds fault with, is
// for aside, as it came: it must not hold back those behind it. InvalidArgument when it is no
// delivery at all. Unknown fields are ignored (a newer site).
Result<UsageDelivery> parse_usage_batch(std::string_view text, const SiteId& site, WallTime now,
                                        const UsageJudge& judge);
// One record. InvalidArgument names the field.
Result<UsageRecord> parse_usage_record(std::string_view text);

// "by=tenant,model&from_us=...&until_us=...&tenant=acme"; InvalidArgument names the field.
Result<UsageQuery> parse_usage_query(std::string_view query);
// `aside`: how many records are in no sum.
std::string usage_sums_json(const UsageQuery& query, std::span<const UsageSum> sums,
                            std::size_t aside);

// At most so many in one answer.
inline constexpr std::size_t kAsideListMax = 200;
// "site=cell-a&tenant=acme&reason=time&after=17"; all may be left out.
Result<AsideQuery> parse_aside_query(std::string_view query);
// {"numbers":[17,18]} or any of "site" "tenant" "reason"; and "after". InvalidArgument names the
// field, or says that nothing is named.
Result<AsideQuery> parse_aside_order(std::string_view body);
std::string aside_json(std::span<const AsideRecord> records, std::size_t total);

}  // namespace perigee::control
