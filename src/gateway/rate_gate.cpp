#include "gateway/rate_gate.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cmath>
#include <utility>

namespace perigee {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

// Prompts are estimated from their bytes. Until engines have said how far that is off, so far.
constexpr double kScaleAtFirst = 2;
constexpr double kScaleMin = 0.5;
constexpr double kScaleMax = 4;
constexpr double kForgetting = 1.0 / 64;
constexpr Duration kDry = milliseconds{250};
constexpr std::int64_t kMicrosPerMinute = 60'000'000;

// One of the two limits of an account.
struct Side {
  RateShare share;
  std::int64_t limit = 0;   // 0: none
  std::int64_t wanted = 0;  // by those who wait, since the last report
  std::int64_t free = 0;    // for anybody, as control told last
  Instant dry_until;        // control had nothing left: it is not asked again before

  // Where the limit was lowered, more may be held for a moment than may be spent.
  std::int64_t available(Instant now) {
    return share.available(now) - std::max<std::int64_t>(share.held() - limit, 0);
  }
  bool allows(std::int64_t units, Instant now) { return limit == 0 || available(now) >= units; }
  std::optional<RateFigures> figures(Instant now) {
    if (limit == 0) return std::nullopt;
    const std::int64_t left = std::clamp<std::int64_t>(available(now) + free, 0, limit);
    return RateFigures{limit, left, share.until_whole(now)};
  }
};

}  // namespace

struct RateTicket::Account {
  std::string name;
  std::array<Side, 2> sides;  // by RateUnit
  const Clock* clock = nullptr;
  Side& side(RateUnit unit) { return sides.at(static_cast<std::size_t>(unit)); }
  Side& requests() { return side(RateUnit::Requests); }
  Side& tokens() { return side(RateUnit::Tokens); }
};

RateTicket::RateTicket(RateGate& gate, std::shared_ptr<Account> account, std::uint32_t estimated,
                       std::int64_t reserved)
    : gate_(&gate), account_(std::move(account)), estimated_(estimated), reserved_(reserved) {}

RateTicket::RateTicket(RateTicket&& other) noexcept = default;

RateTicket::~RateTicket() {
  if (account_ != nullptr) settle(0, 0);
}

void RateTicket::settle(std::uint32_t prompt_tokens, std::uint32_t completion_tokens) {
  const std::shared_ptr<Account> account = std::move(account_);
  if (account == nullptr) return;
  const std::int64_t used = std::int64_t{prompt_tokens} + completion_tokens;
  if (reserved_ > 0 || account->tokens().limit > 0) {
    account->tokens().share.settle(reserved_, used, gate_->clock_.now());
  }
  if (prompt_tokens == 0 || estimated_ == 0) return;
  const double scale = static_cast<double>(prompt_tokens) / estimated_;
  double& known = gate_->scale_;
  known = std::clamp(std::max(scale, known + (scale - known) * kForgetting), kScaleMin, kScaleMax);
}

RateState RateTicket::state() const {
  RateState state;
  if (account_ == nullptr) return state;
  const Instant now = gate_->clock_.now();
  state.requests = account_->requests().figures(now);
  state.tokens = account_->tokens().figures(now);
  return state;
}

// Waits for an answer of control; registered for as long as it lives.
struct RateGate::Waiter {
  Waiter(std::set<Waiter*>& in, Executor executor, Duration at_most) : all(in), timer(executor) {
    timer.expires_after(at_most);
    all.insert(this);
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { all.erase(this); }
  std::set<Waiter*>& all;
  Timer timer;
};

RateGate::RateGate(Executor executor, const Clock& clock, std::uint64_t life)
    : executor_(executor), clock_(clock), life_(life), scale_(kScaleAtFirst) {}

RateGate::~RateGate() = default;

std::shared_ptr<RateGate::Account> RateGate::account_of(const CallerBounds& bounds) {
  auto found = accounts_.find(bounds.account);
  if (found == accounts_.end()) {
    if (accounts_.size() >= kAccountsMax) return nullptr;
    // Whoever holds an issuer's keys makes as many subjects as it likes: never at the cost of all.
    if (const std::string issuer = issuer_of_account(bounds.account); !issuer.empty()) {
      std::size_t& subjects = subjects_[issuer];
      if (subjects >= kSubjectsMax) return nullptr;
      ++subjects;
    }
    auto made = std::make_shared<Account>();
    made->name = bounds.account;
    found = accounts_.emplace(bounds.account, std::move(made)).first;
  }
  found->second->requests().limit = bounds.scope.requests_per_minute;
  found->second->tokens().limit = bounds.scope.tokens_per_minute;
  return found->second;
}

// Whether what it lacks is what control has just not had.
bool RateGate::is_dry(Account& account, std::int64_t tokens) const {
  const Instant now = clock_.now();
  const auto dry = [now](Side& side, std::int64_t units) {
    return !side.allows(units, now) && now < side.dry_until;
  };
  return dry(account.requests(), 1) || dry(account.tokens(), tokens);
}

std::int64_t RateGate::tokens_of(const RateDemand& demand) const {
  return static_cast<std::int64_t>(std::ceil(demand.prompt_tokens * scale_)) + demand.output_tokens;
}

void RateGate::forget(const std::string& account) {
  const auto subjects = subjects_.find(issuer_of_account(account));
  if (subjects != subjects_.end() && --subjects->second == 0) subjects_.erase(subjects);
}

std::optional<RateTicket> RateGate::try_take(const std::shared_ptr<Account>& account,
                                             const RateDemand& demand, std::int64_t tokens,
                                             Instant now) {
  if (now >= until_) {  // nobody vouches for more than what was spent already
    for (Side& side : account->sides) side.share.give_back(0, now);
  }
  Side& requests = account->requests();
  Side& token_side = account->tokens();
  if (!requests.allows(1, now) || !token_side.allows(tokens, now)) return std::nullopt;
  if (requests.limit > 0) requests.share.spend(1, now);
  const std::int64_t reserved = token_side.limit > 0 ? tokens : 0;
  token_side.share.reserve(reserved);
  return RateTicket{*this, account, demand.prompt_tokens, reserved};
}

// `now` as try_take() failed with it: later, what it lacked may be there.
Error RateGate::refusal(Account& account, std::int64_t tokens, Instant now) const {
  const bool by_requests = !account.requests().allows(1, now);
  Side& side = by_requests ? account.requests() : account.tokens();
  const std::int64_t units = by_requests ? 1 : tokens;
  const std::string what = by_requests ? "requests" : "tokens";
  // Where its own share tells nothing: about when the next units are free somewhere in the grid.
  const auto mean = std::chrono::microseconds{kMicrosPerMinute * units / side.limit};
  const Duration wait = std::clamp<Duration>(side.share.until(units, now).value_or(mean),
                                             milliseconds{100}, kRateWindow);
  const std::string limit = "This key's limit of " + std::to_string(side.limit) + " " + what +
                            " per minute, over the whole grid, ";
  Error error{Code::ResourceExhausted, "", "",
              std::chrono::duration_cast<milliseconds>(wait).count()};
  if (linked_) {
    error.message = limit + "is reached: " + std::to_string(units) + " asked for, " +
                    std::to_string(side.figures(now)->remaining) +
                    " left. Repeat later, or ask the operator for a higher limit.";
  } else {
    error.message = limit +
                    "can't be checked: this site can't reach control and has spent its share. "
                    "Repeat later, or call another site.";
  }
  return error;
}

Task<Result<RateTicket>> RateGate::admit(std::shared_ptr<const CallerBounds> bounds,
                                         RateDemand demand, RateState& state) {
  const std::shared_ptr<Account> account = account_of(*bounds);
  if (account == nullptr) {
    co_return Error{Code::ResourceExhausted, "Too many keys with limits are in use at this site.",
                    "", 1000};
  }
  const std::int64_t most = account->tokens().limit;
  const std::int64_t least = std::int64_t{demand.prompt_tokens} + demand.output_tokens;
  if (most > 0 && least > most) {
    co_return Error{Code::PayloadTooLarge,
                    "The request may need " + std::to_string(least) +
                        " tokens, and this key's limit is " + std::to_string(most) +
                        " per minute: shorten the prompt or lower max_tokens."};
  }
  const std::int64_t tokens = most > 0 ? std::min(tokens_of(demand), most) : std::int64_t{0};
  std::uint64_t mine = 0;  // the report that asks for it
  bool late = false;       // no answer came in time
  const Instant give_up = clock_.now() + kAnswerMax;
  for (;;) {
    const Instant now = clock_.now();
    auto ticket = try_take(account, demand, tokens, now);
    if (ticket) {
      state = ticket->state();
      co_return std::move(*ticket);
    }
    if (late || now >= give_up || !linked_ || is_dry(*account, tokens)) {
      state = RateState{account->requests().figures(now), account->tokens().figures(now)};
      co_return refusal(*account, tokens, now);
    }
    // Answered, and control is not dry: whoever came just then took what it was granted.
    if (mine == 0 || answered_ >= mine) {
      mine = sent_ + 1;
      if (account->requests().limit > 0) account->requests().wanted += 1;
      if (most > 0) account->tokens().wanted += tokens;
      if (wake_) wake_();
    }
    Waiter waiter{waiters_, executor_, give_up - now};
    auto waited = co_await waiter.timer.async_wait(kAwait);
    late = !std::get<0>(waited);
  }
}

// Keeps what it spends in some seconds, asks for more before that runs out, gives back the rest.
void RateGate::claim(Account& account, RateUnit unit, RateReport& report) {
  Side& side = account.side(unit);
  const Instant now = clock_.now();
  const std::int64_t lately = side.share.spent_lately(now);
  const std::int64_t wanted = std::exchange(side.wanted, 0);
  side.share.give_back(now >= until_ ? 0 : std::max(lately, wanted), now);
  const std::int64_t aim = wanted + lately / 2;
  const std::int64_t more = std::max<std::int64_t>(aim - side.share.available(now), 0);
  if (side.share.held() == 0 && (more == 0 || side.limit == 0)) return;
  report.claims.push_back({{account.name, unit}, side.share.held(), std::min(more, side.limit)});
}

RateReport RateGate::report() {
  RateReport report{life_, ++sent_, {}};
  sent_at_ = clock_.now();
  for (auto entry = accounts_.begin(); entry != accounts_.end();) {
    Account& account = *entry->second;
    claim(account, RateUnit::Requests, report);
    claim(account, RateUnit::Tokens, report);
    const bool unused =
        entry->second.use_count() == 1 && std::ranges::all_of(account.sides, [this](Side& side) {
          return side.wanted == 0 && side.share.idle(sent_at_);
        });
    if (unused) forget(entry->first);
    entry = unused ? accounts_.erase(entry) : std::next(entry);
  }
  return report;
}

void RateGate::granted(const RateReport& report, const std::vector<RateGrant>& grants) {
  answered_ = report.number;
  linked_ = true;
  until_ = sent_at_ + kRateTerm;
  const Instant now = clock_.now();
  for (const RateGrant& grant : grants) {
    const auto account = accounts_.find(grant.id.account);
    if (account == accounts_.end()) continue;
    Side& side = account->second->side(grant.id.unit);
    side.share.grant(grant.granted);
    side.free = grant.free;
    if (grant.free == 0) side.dry_until = now + kDry;
  }
  wake_all();
}

void RateGate::failed(const RateReport& report) {
  answered_ = report.number;
  linked_ = false;
  wake_all();
}

// Who waits longest comes first: their timers were set in that order.
void RateGate::wake_all() {
  std::vector<Waiter*> waiting{waiters_.begin(), waiters_.end()};
  std::ranges::sort(waiting, {}, [](const Waiter* waiter) { return waiter->timer.expiry(); });
  for (Waiter* waiter : waiting) waiter->timer.cancel();
}

}  // namespace perigee
