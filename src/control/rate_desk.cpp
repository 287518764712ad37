#include "control/rate_desk.h"

#include <algorithm>

#include "control/rates_json.h"

namespace perigee::control {
namespace {

std::set<SiteId> joined_sites(const DirectorySnapshot& snapshot) {
  std::set<SiteId> sites;
  for (const auto& [id, site] : snapshot.sites) {
    if (site.joined) sites.insert(id);
  }
  return sites;
}

std::int64_t units_of(const KeyScope& scope, RateUnit unit) {
  return unit == RateUnit::Requests ? scope.requests_per_minute : scope.tokens_per_minute;
}

}  // namespace

RateDesk::RateDesk(const DirectoryTable& table, const Clock& clock)
    : table_(table),
      clock_(clock),
      opened_(clock.wall()),
      book_(joined_sites(table.snapshot()), clock.now()) {}

// Of an account that was rotated, the widest of its keys counts: they are the same unless the
// operator made them differ.
RateBook::Limit RateDesk::limit_of(const RateLimitId& id) const {
  const DirectorySnapshot& snapshot = table_.snapshot();
  const auto first = snapshot.keys.find(id.account);
  if (first == snapshot.keys.end()) {
    const std::string issuer = issuer_of_account(id.account);
    const auto found = snapshot.issuers.find(issuer);
    if (found == snapshot.issuers.end()) return {};
    return {units_of(found->second.scope, id.unit), false};
  }
  if (first->second.account != id.account) return {};  // it counts by the first key's name
  RateBook::Limit limit{0, first->second.created > opened_};
  for (auto key = first; key != snapshot.keys.end();
       key = snapshot.keys.find(key->second.replaced_by)) {
    if (!key->second.revoked) {
      limit.units = std::max(limit.units, units_of(key->second.scope, id.unit));
    }
  }
  return limit;
}

Result<ApiAnswer> RateDesk::take(std::string_view body, const SiteId& site) {
  PERIGEE_TRY(report, parse_rate_report(body));
  PERIGEE_TRY(grants, book_.take(
                          site, report, [this](const RateLimitId& id) { return limit_of(id); },
                          clock_.now()));
  return ApiAnswer{200, rate_grants_json(grants), 0};
}

}  // namespace perigee::control
