// RateGate: keeps the limits per minute of keys at one site. Decides from this site's share of each
// limit (core/rate_share.h) without asking anybody while it lasts; where it does not, a request
// waits for the answer of control to the next report, once. A site that control does not answer
// spends what it holds for kRateTerm, and no more: the limit holds over the whole grid.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/rate_book.h"
#include "core/rate_share.h"
#include "identity/identity.h"
#include "net/task.h"

namespace perigee {

// What is told to clients of one limit (`x-ratelimit-*`).
struct RateFigures {
  std::int64_t limit = 0;
  std::int64_t remaining = 0;  // over the grid, as control told it last
  Duration reset{};            // until all that was spent here has come back
};
struct RateState {
  std::optional<RateFigures> requests;
  std::optional<RateFigures> tokens;
};

// What one request asks for.
struct RateDemand {
  std::uint32_t prompt_tokens = 0;  // an estimate
  std::uint32_t output_tokens = 0;  // at most, or what is reserved when it says nothing
};

class RateGate;

// A request's place within its limits. Tokens are reserved until settle(), or until it is dropped:
// then it used none. The gate must outlive it.
class RateTicket {
 public:
  RateTicket(RateTicket&& other) noexcept;
  RateTicket& operator=(RateTicket&&) = delete;
  ~RateTicket();
  // What it used. Once.
  void settle(std::uint32_t prompt_tokens, std::uint32_t completion_tokens);
  RateState state() const;

 private:
  friend class RateGate;
  struct Account;
  RateTicket(RateGate& gate, std::shared_ptr<Account> account, std::uint32_t estimated,
             std::int64_t reserved);
  RateGate* gate_;
  std::shared_ptr<Account> account_;  // null: moved from
  std::uint32_t estimated_;           // prompt tokens
  std::int64_t reserved_;
};

// On the IO thread. `clock` must outlive it.
class RateGate {
 public:
  // Limited keys that were used at this site within the last minutes; ResourceExhausted beyond.
  static constexpr std::size_t kAccountsMax = RateBook::kClaimsMax / 2;
  // Of one issuer of tokens: others need room for their keys.
  static constexpr std::size_t kSubjectsMax = kAccountsMax / 4;
  static constexpr std::uint32_t kOutputTokensUnsaid = 512;  // reserved when it is not said
  static constexpr Duration kAnswerMax = seconds{2};         // how long a request waits for control

  RateGate(Executor executor, const Clock& clock, std::uint64_t life);
  ~RateGate();
  // `bounds.scope` must limit something. ResourceExhausted: the limit is reached, with the time to
  // come back, and `state` set. PayloadTooLarge: it is larger than a minute's tokens.
  Task<Result<RateTicket>> admit(std::shared_ptr<const CallerBounds> bounds, RateDemand demand,
                                 RateState& state);

  // --- for whoever talks to control ---
  // Called when a request waits for a report.
  void on_want(std::function<void()> wake) { wake_ = std::move(wake); }
  bool has_claims() const { return !accounts_.empty(); }
  // What to tell now. Gives back what is not needed; every report is answered or failed, in order.
  RateReport report();
  void granted(const RateReport& report, const std::vector<RateGrant>& grants);
  void failed(const RateReport& report);

 private:
  using Account = RateTicket::Account;
  struct Waiter;
  std::shared_ptr<Account> account_of(const CallerBounds& bounds);
  void forget(const std::string& account);
  std::optional<RateTicket> try_take(const std::shared_ptr<Account>& account,
                                     const RateDemand& demand, std::int64_t tokens, Instant now);
  std::int64_t tokens_of(const RateDemand& demand) const;
  bool is_dry(Account& account, std::int64_t tokens) const;
  Error refusal(Account& account, std::int64_t tokens, Instant now) const;
  void claim(Account& account, RateUnit unit, RateReport& report);
  void wake_all();
  friend class RateTicket;

  Executor executor_;
  const Clock& clock_;
  std::uint64_t life_;
  std::uint64_t sent_ = 0;      // number of the last report
  std::uint64_t answered_ = 0;  // of the last one that was answered or failed
  Instant sent_at_;
  Instant until_;       // of the term: later, what is held may not be spent
  bool linked_ = true;  // the last report was answered, or none has been sent
  double scale_;        // prompt tokens as engines count them, over our estimates; the most lately
  std::unordered_map<std::string, std::shared_ptr<Account>> accounts_;
  std::unordered_map<std::string, std::size_t> subjects_;  // of accounts_, by issuer
  std::set<Waiter*> waiters_;
  std::function<void()> wake_;
};

}  // namespace perigee
