#include "control/usage_desk.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "control/usage_check.h"
#include "control/usage_json.h"
#include "directory/json_text.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;
// Gives what it found out to whoever asked by what it holds.
using Job = std::function<Result<>(UsageStore&)>;

// Of one job: what its coroutine waits for. `waiter` is null once nobody waits.
struct Pending {
  Timer* waiter = nullptr;
  std::optional<Result<>> answer;
};

// Names a waiter for as long as it lives.
struct Waits {
  Waits(Pending& of, Timer& timer) : outcome(of) { outcome.waiter = &timer; }
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;
  ~Waits() { outcome.waiter = nullptr; }
  Pending& outcome;
};

struct Delivered {
  std::size_t stored = 0;
  std::size_t left_out = 0;  // of what is to be put aside: the site has too much there
  std::map<AsideReason, std::size_t> aside_now;
};

Result<Delivered> store_delivery(UsageStore& store, const UsageDelivery& delivery) {
  Delivered done;
  PERIGEE_TRY(stored, store.add(delivery.records));
  done.stored = stored;
  if (delivery.aside.empty()) return done;
  PERIGEE_TRY(left_out, store.put_aside(delivery.aside));
  done.left_out = left_out;
  PERIGEE_TRY(now, store.count_aside_by_reason());
  done.aside_now = std::move(now);
  return done;
}

// What of `found` can be billed now, and why the rest can't.
struct Sorted {
  std::vector<AsideRecord> good;
  std::vector<UsageRecord> records;  // of them, in the same order
  std::size_t unknown_tenant = 0;
  std::size_t unreadable = 0;
};

Sorted sort_aside(std::vector<AsideRecord> found, const DirectorySnapshot& directory) {
  Sorted sorted;
  for (AsideRecord& each : found) {
    auto record = parse_usage_record(each.text);
    if (!record) {
      ++sorted.unreadable;
    } else if (!directory.tenants.contains(record->tenant)) {
      ++sorted.unknown_tenant;
    } else {
      sorted.records.push_back(std::move(*record));
      sorted.good.push_back(std::move(each));
    }
  }
  return sorted;
}

std::vector<std::int64_t> numbers_of(const std::vector<AsideRecord>& records) {
  std::vector<std::int64_t> numbers;
  numbers.reserve(records.size());
  for (const AsideRecord& record : records) numbers.push_back(record.number);
  return numbers;
}

Error too_much_aside(const SiteId& site) {
  return {Code::ResourceExhausted,
          "of site " + site.str() + " " + std::to_string(kAsidePerSiteMax) +
              " usage records are put aside, the most there may be: an operator must take them in "
              "or drop them (perigee usage aside)",
          "", 60'000};
}

}  // namespace

struct UsageDesk::State {
  State(Executor io, std::unique_ptr<UsageStore> records, const DirectoryTable& directory,
        const Clock& system_clock)
      : executor(io), store(std::move(records)), table(directory), clock(system_clock) {}

  Task<Result<>> run(Job job) {
    if (jobs >= kUsageJobsMax) {
      co_return Error{Code::ResourceExhausted, "usage is busy: repeat shortly", "", 1000};
    }
    Timer done{executor, Timer::time_point::max()};
    auto outcome = std::make_shared<Pending>();
    const Waits waits{*outcome, done};
    ++jobs;
    asio::post(thread, [this, outcome, work = std::move(job)] {
      Result<> answer = work(*store);
      asio::post(executor, [this, outcome, result = std::move(answer)]() mutable {
        --jobs;
        outcome->answer = std::move(result);
        if (outcome->waiter != nullptr) outcome->waiter->cancel();
      });
    });
    co_await done.async_wait(kAwait);
    if (!outcome->answer) co_return Error{Code::Cancelled, "control stops"};
    co_return std::move(*outcome->answer);
  }

  // Of keys that exist alone: a site may name any, and names subjects of tokens.
  void note_use(const std::string& key_id, WallTime used) {
    const auto& keys = table.snapshot().keys;
    if (!keys.contains(key_id)) return;
    WallTime& last = last_uses[key_id];
    last = std::max(last, used);
    if (last_uses.size() <= keys.size()) return;
    std::erase_if(last_uses, [&keys](const auto& use) { return !keys.contains(use.first); });
  }

  Executor executor;
  std::unique_ptr<UsageStore> store;
  const DirectoryTable& table;
  const Clock& clock;
  AuditLog* audit = nullptr;
  UsageCounts counts;
  std::unordered_map<std::string, WallTime> last_uses;
  std::size_t jobs = 0;
  asio::thread_pool thread{1};  // last: joined first
};

UsageDesk::UsageDesk(Executor executor, std::unique_ptr<UsageStore> store,
                     const DirectoryTable& table, const Clock& clock)
    : state_(std::make_unique<State>(executor, std::move(store), table, clock)) {
  if (auto aside = state_->store->count_aside_by_reason()) state_->counts.aside_now = *aside;
  auto uses = state_->store->last_uses();
  if (!uses) {
    log::error("when keys were last used is not known", {{"error", uses.error().message}});
    return;
  }
  for (const auto& [key, used] : *uses) state_->note_use(key, used);
}

WallTime UsageDesk::last_use(const std::string& key_id) const {
  const auto found = state_->last_uses.find(key_id);
  return found == state_->last_uses.end() ? WallTime{} : found->second;
}

UsageDesk::~UsageDesk() { state_->thread.join(); }

void UsageDesk::keep_audit(AuditLog& audit) { state_->audit = &audit; }

const UsageCounts& UsageDesk::counts() const { return state_->counts; }

Task<Result<ApiAnswer>> UsageDesk::take(std::string body, SiteId site) {
  const WallTime now = state_->clock.wall();
  const auto judge = [this, &site, now](const UsageRecord& record) {
    return usage_fault(record, site, state_->table.snapshot().tenants, now);
  };
  auto delivery = parse_usage_batch(body, site, now, judge);
  if (!delivery) co_return delivery.error();
  std::vector<std::pair<std::string, WallTime>> uses;
  for (const UsageRecord& record : delivery->records)
    uses.emplace_back(record.key_id, record.ended);
  const std::size_t records = delivery->records.size();
  const std::size_t aside = delivery->aside.size();
  const std::size_t refused = delivery->too_long;
  const std::string why = aside == 0 ? std::string{} : delivery->aside.front().why;
  auto done = std::make_shared<Delivered>();
  Job job = [parsed = std::move(*delivery), done](UsageStore& store) -> Result<> {
    PERIGEE_TRY(delivered, store_delivery(store, parsed));
    *done = std::move(delivered);
    return {};
  };
  auto stored = co_await state_->run(std::move(job));
  if (!stored) co_return stored.error();
  for (const auto& [key, used] : uses) state_->note_use(key, used);
  UsageCounts& counts = state_->counts;
  counts.stored += done->stored;
  counts.known += records - done->stored;
  counts.aside += aside - done->left_out;
  counts.refused += refused;
  if (aside > 0) counts.aside_now = std::move(done->aside_now);
  if (aside > done->left_out) {
    log::warning("usage records are put aside",
                 {{"site", site.str()}, {"records", aside - done->left_out}, {"why", why}});
  }
  if (refused > 0) log::error("usage records too long to keep", {{"site", site.str()}});
  if (done->left_out > 0) {
    ++counts.full;
    co_return too_much_aside(site);
  }
  JsonObject json;
  json.add("stored", done->stored).add("known", records - done->stored);
  json.add("aside", aside).add("refused", refused);
  co_return ApiAnswer{200, json.take(), 0};
}

Task<Result<ApiAnswer>> UsageDesk::report(std::string query) {
  auto asked = parse_usage_query(query);
  if (!asked) co_return asked.error();
  auto text = std::make_shared<std::string>();
  Job job = [wanted = std::move(*asked), text](UsageStore& store) -> Result<> {
    PERIGEE_TRY(sums, store.sum(wanted));
    PERIGEE_TRY(aside, store.count_aside({}));
    *text = usage_sums_json(wanted, sums, aside);
    return {};
  };
  auto summed = co_await state_->run(std::move(job));
  if (!summed) co_return summed.error();
  co_return ApiAnswer{200, std::move(*text), 0};
}

Task<Result<ApiAnswer>> UsageDesk::list_aside(std::string query) {
  auto asked = parse_aside_query(query);
  if (!asked) co_return asked.error();
  auto text = std::make_shared<std::string>();
  Job job = [wanted = std::move(*asked), text](UsageStore& store) -> Result<> {
    PERIGEE_TRY(found, store.list_aside(wanted));
    PERIGEE_TRY(total, store.count_aside(wanted));
    *text = aside_json(found, total);
    return {};
  };
  auto listed = co_await state_->run(std::move(job));
  if (!listed) co_return listed.error();
  co_return ApiAnswer{200, std::move(*text), 0};
}

namespace {

AuditEntry audit_of(AsideEnd end, const UsageActor& actor, const std::vector<AsideRecord>& records,
                    WallTime now, std::uint64_t revision) {
  AuditEntry entry;
  entry.time = now;
  entry.actor = actor.key_id;
  entry.from = actor.from;
  entry.action = end == AsideEnd::TakeIn ? "take in usage" : "drop usage";
  entry.name = std::to_string(records.size()) + " records";
  entry.revision = revision;
  for (const AsideRecord& record : records) {
    entry.writes.push_back({"usage", std::to_string(record.number), record.text, kAnyRevision});
  }
  return entry;
}

std::string settled_json(AsideEnd end, const Sorted& sorted, std::size_t found, std::int64_t last) {
  JsonObject json;
  json.add(end == AsideEnd::TakeIn ? "taken" : "dropped", sorted.good.size());
  if (end == AsideEnd::TakeIn) {
    json.add("unknown_tenant", sorted.unknown_tenant).add("unreadable", sorted.unreadable);
  }
  json.add("more", found == kAsideCallMax).add("after", last);
  return json.take();
}

}  // namespace

Task<Result<ApiAnswer>> UsageDesk::settle_aside(std::string body, AsideEnd end, UsageActor actor) {
  auto asked = parse_aside_order(body);
  if (!asked) co_return asked.error();
  asked->rows_max = kAsideCallMax;
  auto found = std::make_shared<std::vector<AsideRecord>>();
  const std::int64_t after = asked->after;
  Job look = [wanted = std::move(*asked), found](UsageStore& store) -> Result<> {
    PERIGEE_TRY(records, store.list_aside(wanted));
    *found = std::move(records);
    return {};
  };
  auto looked = co_await state_->run(std::move(look));
  if (!looked) co_return looked.error();
  const std::size_t count = found->size();
  const std::int64_t last = count == 0 ? after : found->back().number;
  auto sorted = std::make_shared<Sorted>();
  if (end == AsideEnd::TakeIn)
    *sorted = sort_aside(std::move(*found), state_->table.snapshot());
  else
    sorted->good = std::move(*found);
  if (sorted->good.empty()) co_return ApiAnswer{200, settled_json(end, *sorted, count, last), 0};
  AuditEntry entry =
      audit_of(end, actor, sorted->good, state_->clock.wall(), state_->table.snapshot().revision);
  if (state_->audit != nullptr) PERIGEE_CO_CHECK(state_->audit->record(entry));
  auto now = std::make_shared<std::map<AsideReason, std::size_t>>();
  Job settle = [sorted, now](UsageStore& store) -> Result<> {
    PERIGEE_CHECK(store.settle_aside(numbers_of(sorted->good), sorted->records));
    PERIGEE_TRY(counts, store.count_aside_by_reason());
    *now = std::move(counts);
    return {};
  };
  auto settled = co_await state_->run(std::move(settle));
  if (!settled) {
    if (state_->audit != nullptr) {
      state_->audit->record_failure(std::move(entry), settled.error().message);
    }
    co_return settled.error();
  }
  state_->counts.aside_now = std::move(*now);
  log::info(end == AsideEnd::TakeIn ? "usage that was aside is taken in" : "usage is dropped",
            {{"records", sorted->good.size()}, {"by", actor.key_id}});
  co_return ApiAnswer{200, settled_json(end, *sorted, count, last), 0};
}

}  // namespace perigee::control
