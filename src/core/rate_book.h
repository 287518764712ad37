// RateBook: which site holds how much of which limit per minute. Kept by control, which grants
// shares and takes back what sites do not need. It is exact whatever happens to a message, a site
// or control: a unit counts as held until it is certain that nobody can spend it.
//
// A site tells with every report what it holds; what it does not mention it does not hold. It gives
// back only what it has not spent within the window, so such units may be granted at once. A site
// that was silent for kRateTerm holds nothing more (it counts its term from sending, which is
// earlier), but may have spent all of it at the very end: those units are free a window later.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/instant.h"
#include "base/result.h"
#include "core/rate_share.h"

namespace perigee {

// How long a site may spend what it holds without word from control.
inline constexpr Duration kRateTerm = seconds{120};

enum class RateUnit : std::uint8_t { Requests, Tokens };

// What is limited: the requests or the tokens of one account (a key, or those that it was rotated
// to).
struct RateLimitId {
  std::string account;
  RateUnit unit = RateUnit::Requests;
  friend auto operator<=>(const RateLimitId&, const RateLimitId&) = default;
};

struct RateClaim {
  RateLimitId id;
  std::int64_t held = 0;
  std::int64_t wanted = 0;  // more than that
};

struct RateReport {
  std::uint64_t life = 0;    // drawn when the site's process began: it forgets what it held
  std::uint64_t number = 0;  // counts up within a life
  std::vector<RateClaim> claims;
};

struct RateGrant {
  RateLimitId id;
  std::int64_t granted = 0;  // beyond what the report said is held
  std::int64_t free = 0;     // left for anybody, after this
};

class RateBook {
 public:
  static constexpr std::size_t kClaimsMax = 4096;  // of one report
  // Of the processes of one site that were replaced within a window: what they held is remembered.
  static constexpr std::size_t kCoolingMax = 4 * kClaimsMax;

  // Units per minute of the whole grid; 0: no such limit, or no such account.
  struct Limit {
    std::int64_t units = 0;
    bool is_new = false;  // made since this book was opened: nobody can hold any of it
  };
  using Limits = std::function<Limit(const RateLimitId&)>;

  // `sites` may hold shares that an earlier book granted: until each has reported, or can hold
  // nothing any more, nothing is granted of limits from before.
  RateBook(std::set<SiteId> sites, Instant opened) : unheard_(std::move(sites)), opened_(opened) {}

  // FailedPrecondition: a report that came late or twice; the site reports again.
  // ResourceExhausted: its process was replaced too often, while it held too much.
  Result<std::vector<RateGrant>> take(const SiteId& site, const RateReport& report,
                                      const Limits& limits, Instant now);
  std::int64_t held(const RateLimitId& id) const;  // by all sites, and what may still be spent
  std::size_t accounts() const { return entries_.size(); }
  // Whether what is held is the sum of its shares. Walks all of them: for tests of the book.
  bool adds_up() const;

 private:
  struct Cooling {
    Instant until;
    std::int64_t units;
  };
  // The shares of one limit, all above 0, and their running sum.
  class Entry {
   public:
    void hold(const SiteId& site, std::int64_t units);  // instead of what it held
    void add(const SiteId& site, std::int64_t units);
    void release(const SiteId& site);
    void cool(const SiteId& site, Instant until);  // what it held may be spent until then
    void forget_cooled(Instant now);
    std::int64_t total() const { return total_; }
    std::int64_t walk() const;  // sums anew what total() keeps
    bool empty() const;

   private:
    std::map<SiteId, std::int64_t> held_;
    std::vector<Cooling> cooling_;
    std::int64_t total_ = 0;
  };
  struct SiteState {
    std::uint64_t life = 0;
    std::uint64_t former = 0;  // the life before this one
    std::uint64_t number = 0;
    Instant heard;
    std::set<RateLimitId> holds;
    Instant replaced;         // when its process was, first within the window
    std::size_t cooling = 0;  // since then
  };
  static Result<> replace_process(SiteState& state, Instant now);
  void drop_site(const SiteId& site, SiteState& state, Instant until);
  void sweep(Instant now);
  bool knows_all(Instant now);

  std::map<RateLimitId, Entry> entries_;
  std::map<SiteId, SiteState> sites_;
  std::set<SiteId> unheard_;
  Instant opened_;
  Instant swept_;
};

}  // namespace perigee
