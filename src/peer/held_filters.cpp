#include "peer/held_filters.h"

#include <cmath>
#include <utility>

namespace perigee {

bool HeldFilters::is_news(const Held& held, const PrefixFilter& filter, Instant now) const {
  if (held.filter == nullptr) return filter.inserted() > 0;
  if (now - held.changed >= kFilterNewsAfter) return filter != *held.filter;
  const double before = held.filter->inserted();
  return std::abs(filter.inserted() - before) > kFilterNews * before;
}

void HeldFilters::fill(ModelDigest& digest, const Router& router, Instant now) {
  Held& held = held_[digest.model];
  if (held.looked == Instant{} || now - held.looked >= kFilterInterval) {
    held.looked = now;
    PrefixFilter filter = router.held_prefixes(digest.model, kHeldBlocksMax, now);
    if (is_news(held, filter, now)) {
      held.filter = std::make_shared<const PrefixFilter>(std::move(filter));
      held.version = next_++;
      held.changed = now;
    }
  }
  digest.prefix_version = held.version;
  digest.prefixes = held.filter;
}

}  // namespace perigee
