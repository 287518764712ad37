#include "core/rate_book.h"

#include <algorithm>

#include "base/assert.h"

namespace perigee {
namespace {

constexpr Duration kSweepInterval = seconds{1};

}  // namespace

void RateBook::Entry::hold(const SiteId& site, std::int64_t units) {
  std::int64_t& held = held_[site];
  total_ += units - held;
  held = units;
}

void RateBook::Entry::add(const SiteId& site, std::int64_t units) {
  held_[site] += units;
  total_ += units;
}

void RateBook::Entry::release(const SiteId& site) {
  const auto held = held_.find(site);
  if (held == held_.end()) return;
  total_ -= held->second;
  held_.erase(held);
}

void RateBook::Entry::cool(const SiteId& site, Instant until) {
  const auto held = held_.find(site);
  if (held == held_.end()) return;
  cooling_.push_back({until, held->second});  // counts on
  held_.erase(held);
}

void RateBook::Entry::forget_cooled(Instant now) {
  std::erase_if(cooling_, [this, now](const Cooling& each) {
    if (each.until > now) return false;
    total_ -= each.units;
    return true;
  });
}

std::int64_t RateBook::Entry::walk() const {
  std::int64_t sum = 0;
  for (const auto& [site, units] : held_) sum += units;
  for (const Cooling& each : cooling_) sum += each.units;
  return sum;
}

bool RateBook::Entry::empty() const {
  if (!held_.empty() || !cooling_.empty()) return false;
  PERIGEE_ASSERT(total_ == 0);
  return true;
}

bool RateBook::adds_up() const {
  return std::ranges::all_of(
      entries_, [](const auto& entry) { return entry.second.total() == entry.second.walk(); });
}

std::int64_t RateBook::held(const RateLimitId& id) const {
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? 0 : entry->second.total();
}

// What the site held may be spent until then, and comes back a window after.
void RateBook::drop_site(const SiteId& site, SiteState& state, Instant until) {
  for (const RateLimitId& id : state.holds) {
    entries_[id].cool(site, until + kRateWindow);
  }
  state.holds.clear();
}

// Who was silent for too long, and what is held by nobody.
void RateBook::sweep(Instant now) {
  if (now < swept_ + kSweepInterval) return;
  swept_ = now;
  for (auto site = sites_.begin(); site != sites_.end();) {
    const Instant end = site->second.heard + kRateTerm;
    if (end > now) {
      ++site;
      continue;
    }
    drop_site(site->first, site->second, end);
    site = sites_.erase(site);
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry->second.forget_cooled(now);
    entry = entry->second.empty() ? entries_.erase(entry) : std::next(entry);
  }
}

// A site that lies must not fill the book.
Result<> RateBook::replace_process(SiteState& state, Instant now) {
  if (now >= state.replaced + kRateWindow) {
    state.replaced = now;
    state.cooling = 0;
  }
  if (state.cooling + state.holds.size() > kCoolingMax) {
    return Error{Code::ResourceExhausted,
                 "this site's process was replaced too often within a minute: report later", "life",
                 1000};
  }
  state.cooling += state.holds.size();
  return {};
}

bool RateBook::knows_all(Instant now) {
  if (now >= opened_ + kRateTerm + kRateWindow) unheard_.clear();
  return unheard_.empty();
}

Result<std::vector<RateGrant>> RateBook::take(const SiteId& site, const RateReport& report,
                                              const Limits& limits, Instant now) {
  if (report.claims.size() > kClaimsMax) {
    return Error{Code::PayloadTooLarge, "a report holds more than the most claims", "claims"};
  }
  sweep(now);
  SiteState& state = sites_[site];
  const bool late = state.life == report.life && report.number <= state.number;
  if (late || report.life == state.former) {  // or of the process before this one
    return Error{Code::FailedPrecondition, "this report of rates came late: report again",
                 "number"};
  }
  // The process before this one can spend nothing any more, but may just have.
  if (state.life != report.life) {
    PERIGEE_CHECK(replace_process(state, now));
    drop_site(site, state, now);
    state.former = state.life;
  }
  const std::set<RateLimitId> before = std::exchange(state.holds, {});
  state.life = report.life;
  state.number = report.number;
  state.heard = now;
  unheard_.erase(site);
  // First what is held, then who gets what is free.
  for (const RateLimitId& id : before) entries_[id].release(site);
  for (const RateClaim& claim : report.claims) {
    if (claim.held <= 0) continue;
    entries_[claim.id].hold(site, claim.held);
    state.holds.insert(claim.id);
  }
  const bool sure = knows_all(now);
  std::vector<RateGrant> grants;
  for (const RateClaim& claim : report.claims) {
    const Limit limit = limits(claim.id);
    if (const auto entry = entries_.find(claim.id); entry != entries_.end()) {
      entry->second.forget_cooled(now);
    }
    const std::int64_t free =
        std::max<std::int64_t>(limit.units - held(claim.id), 0) * (sure || limit.is_new ? 1 : 0);
    const std::int64_t granted = std::clamp<std::int64_t>(claim.wanted, 0, free);
    if (granted > 0) {
      entries_[claim.id].add(site, granted);
      state.holds.insert(claim.id);
    }
    grants.push_back({claim.id, granted, free - granted});
  }
  for (const RateLimitId& id : before) {  // what nobody holds any more, at once: it may be many
    const auto entry = entries_.find(id);
    if (entry != entries_.end() && entry->second.empty()) entries_.erase(entry);
  }
  return grants;
}

}  // namespace perigee
