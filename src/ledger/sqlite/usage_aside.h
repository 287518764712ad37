// UsageAside: usage records that control did not bill, kept as they came until an operator takes
// them in or drops them. In the usage store's file; used by UsageStore.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/ledger.h"

namespace perigee {

namespace sqlite {
class Database;
}

// Of one site; more of that site's are not taken until some are settled. Others' are not touched.
inline constexpr std::size_t kAsidePerSiteMax = 10'000;
inline constexpr std::size_t kAsideBytesMax = 4096;  // of one record's text

enum class AsideReason : std::uint8_t {
  UnknownTenant,  // the directory has no such tenant
  Time,           // it began or ended when it can't have
  Counts,         // more tokens than any request has
  IngressSite,    // another site's than the one that delivered it
  Unreadable,     // no record as this version knows them
};
std::string_view to_string(AsideReason reason);  // "unknown_tenant", "time", "counts", ...
std::optional<AsideReason> parse_aside_reason(std::string_view name);
inline constexpr std::size_t kAsideReasons = 5;

struct AsideRecord {
  std::int64_t number = 0;  // names it here, never used again
  SiteId site;              // that delivered it
  AsideReason reason = AsideReason::Unreadable;
  std::string why;     // one sentence
  std::string tenant;  // as it says; empty: not readable
  WallTime received;
  std::string text;  // JSON, as it came
};

struct AsideQuery {
  std::vector<std::int64_t> numbers;  // these alone; empty: all
  SiteId site;                        // empty: any
  std::string tenant;
  std::optional<AsideReason> reason;
  std::int64_t after = 0;  // higher numbers only
  std::size_t rows_max = 1000;
};

// On the store's thread.
Result<> make_aside_table(sqlite::Database& database);
// Keeps what fits of one site's delivery; what it delivered before is there already. How many did
// not fit.
Result<std::size_t> put_aside(sqlite::Database& database, std::span<const AsideRecord> records);
// The oldest first.
Result<std::vector<AsideRecord>> list_aside(sqlite::Database& database, const AsideQuery& query);
Result<std::size_t> count_aside(sqlite::Database& database, const AsideQuery& query);
Result<std::map<AsideReason, std::size_t>> count_aside_by_reason(sqlite::Database& database);
// Within a transaction of the caller's. FailedPrecondition: one of them is not aside any more.
Result<> forget_aside(sqlite::Database& database, std::span<const std::int64_t> numbers);

}  // namespace perigee
