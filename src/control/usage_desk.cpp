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
#include "control/usage_json.h"
#include "directory/json_text.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;
using Job = std::function<Result<ApiAnswer>(UsageStore&)>;

// Of one job: what its coroutine waits for. `waiter` is null once nobody waits.
struct Pending {
  Timer* waiter = nullptr;
  std::optional<Result<ApiAnswer>> answer;
};

// Names a waiter for as long as it lives.
struct Waits {
  Waits(Pending& of, Timer& timer) : outcome(of) { outcome.waiter = &timer; }
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;
  ~Waits() { outcome.waiter = nullptr; }
  Pending& outcome;
};

Result<ApiAnswer> store_delivery(UsageStore& store, const UsageDelivery& delivery,
                                 const SiteId& site) {
  for (const std::string& why : delivery.refused) {
    log::error("a usage record is refused", {{"site", site.str()}, {"why", why}});
  }
  PERIGEE_TRY(stored, store.add(delivery.records));
  JsonObject json;
  json.add("stored", stored)
      .add("known", delivery.records.size() - stored)
      .add("refused", delivery.refused.size());
  return ApiAnswer{200, json.take(), 0};
}

}  // namespace

struct UsageDesk::State {
  State(Executor io, std::unique_ptr<UsageStore> records)
      : executor(io), store(std::move(records)) {}

  Task<Result<ApiAnswer>> run(Job job) {
    if (jobs >= kUsageJobsMax) {
      co_return Error{Code::ResourceExhausted, "usage is busy: repeat shortly", "", 1000};
    }
    Timer done{executor, Timer::time_point::max()};
    auto outcome = std::make_shared<Pending>();
    const Waits waits{*outcome, done};
    ++jobs;
    asio::post(thread, [this, outcome, work = std::move(job)] {
      Result<ApiAnswer> answer = work(*store);
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

  void note_use(const std::string& key_id, WallTime used) {
    if (last_uses.size() >= kKeysMax && !last_uses.contains(key_id)) return;
    WallTime& last = last_uses[key_id];
    last = std::max(last, used);
  }

  Executor executor;
  std::unique_ptr<UsageStore> store;
  std::unordered_map<std::string, WallTime> last_uses;
  std::size_t jobs = 0;
  asio::thread_pool thread{1};  // last: joined first
};

UsageDesk::UsageDesk(Executor executor, std::unique_ptr<UsageStore> store)
    : state_(std::make_unique<State>(executor, std::move(store))) {
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

Task<Result<ApiAnswer>> UsageDesk::take(std::string body, SiteId site) {
  auto delivery = parse_usage_batch(body, site);
  if (!delivery) co_return delivery.error();
  std::vector<std::pair<std::string, WallTime>> uses;
  for (const UsageRecord& record : delivery->records)
    uses.emplace_back(record.key_id, record.ended);
  Job job = [parsed = std::move(*delivery), from = std::move(site)](UsageStore& store) {
    return store_delivery(store, parsed, from);
  };
  auto stored = co_await state_->run(std::move(job));
  if (stored) {
    for (const auto& [key, used] : uses) state_->note_use(key, used);
  }
  co_return stored;
}

Task<Result<ApiAnswer>> UsageDesk::report(std::string query) {
  auto asked = parse_usage_query(query);
  if (!asked) co_return asked.error();
  Job job = [wanted = std::move(*asked)](UsageStore& store) -> Result<ApiAnswer> {
    PERIGEE_TRY(sums, store.sum(wanted));
    return ApiAnswer{200, usage_sums_json(wanted, sums), 0};
  };
  co_return co_await state_->run(std::move(job));
}

}  // namespace perigee::control
