// RateDesk: control's side of limits per minute: a RateBook over the limits of the directory.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "control/control_api.h"
#include "control/directory_table.h"
#include "core/rate_book.h"

namespace perigee::control {

// On the IO thread. Table and clock must outlive it.
class RateDesk {
 public:
  RateDesk(const DirectoryTable& table, const Clock& clock);
  // The body of POST /control/v1/rates by `site`.
  Result<ApiAnswer> take(std::string_view body, const SiteId& site);

 private:
  RateBook::Limit limit_of(const RateLimitId& id) const;
  const DirectoryTable& table_;
  const Clock& clock_;
  WallTime opened_;
  RateBook book_;
};

}  // namespace perigee::control
