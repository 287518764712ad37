#include "control/issuer_keys.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "base/log.h"
#include "directory/json_fields.h"
#include "net/vital_task.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

// The `jwks_url` of a PUT's body; empty: none, or no body that can be read.
std::string url_in(std::string_view body) {
  const auto object = parse_json_object(body);
  const boost::json::value* url = object ? object->if_contains("jwks_url") : nullptr;
  return url != nullptr && url->is_string() ? std::string{url->get_string()} : std::string{};
}

}  // namespace

struct IssuerKeys::State {
  State(Executor io, const Clock& system_clock, DirectoryTable& directory, ControlApi& control,
        std::unique_ptr<JwksClient> keys, Duration every)
      : executor(io),
        clock(system_clock),
        table(directory),
        api(control),
        client(std::move(keys)),
        interval(every),
        timer(io) {}

  std::string url_of(const std::string& id) const {
    const auto& issuers = table.snapshot().issuers;
    const auto found = issuers.find(id);
    return found == issuers.end() ? std::string{} : found->second.jwks_url;
  }

  void note_fetched(const std::string& id) {
    states[id] = {clock.wall(), {}, 0};
    due[id] = clock.now() + interval;
  }

  void note_failure(const std::string& id, const Error& why) {
    IssuerKeysState& state = states[id];
    if (state.error != why.message) {
      log::warning("an issuer's keys stay as they are", {{"issuer", id}, {"why", why.message}});
    }
    state.error = why.message;
    ++state.failures;
    due[id] = clock.now() + std::min(interval, kJwksRetry);
  }

  // The issuer whose turn came first; empty: none's has. Forgets those that have no URL any more.
  std::string next_due() {
    std::erase_if(due, [this](const auto& entry) { return url_of(entry.first).empty(); });
    std::erase_if(states, [this](const auto& entry) { return url_of(entry.first).empty(); });
    const Instant now = clock.now();
    for (const auto& [id, issuer] : table.snapshot().issuers) {
      if (!issuer.jwks_url.empty()) due.try_emplace(id, now);
    }
    const auto first =
        std::ranges::min_element(due, {}, [](const auto& entry) { return entry.second; });
    return first != due.end() && first->second <= now ? first->first : std::string{};
  }

  Task<void> refresh(std::string id) {
    const std::string url = url_of(id);
    due[id] = clock.now() + interval;
    auto keys = co_await client->fetch(url);
    if (stopped || url_of(id) != url) co_return;  // it was changed meanwhile
    Result<> stored = keys ? api.refresh_issuer(id, *keys, url) : Result<>{keys.error()};
    if (stored) {
      note_fetched(id);
    } else {
      note_failure(id, stored.error());
    }
  }

  static Task<void> run(std::shared_ptr<State> self) {
    while (!self->stopped) {
      std::string id = self->next_due();
      if (!id.empty()) {
        co_await self->refresh(std::move(id));
        continue;
      }
      Instant next = self->clock.now() + self->interval;
      for (const auto& [name, time] : self->due) next = std::min(next, time);
      self->timer.expires_after(std::max<Duration>(next - self->clock.now(), milliseconds{10}));
      co_await self->timer.async_wait(kAwait);
    }
  }

  Executor executor;
  const Clock& clock;
  DirectoryTable& table;
  ControlApi& api;
  std::unique_ptr<JwksClient> client;
  Duration interval;
  Timer timer;
  bool stopped = false;
  std::map<std::string, IssuerKeysState> states;
  std::map<std::string, Instant> due;
};

IssuerKeys::IssuerKeys(Executor executor, const Clock& clock, DirectoryTable& table,
                       ControlApi& api, std::unique_ptr<JwksClient> client, Duration interval)
    : state_(std::make_shared<State>(executor, clock, table, api, std::move(client), interval)) {
  api.know_issuer_keys([state = state_.get()](const std::string& id) {
    const auto found = state->states.find(id);
    return found == state->states.end() ? IssuerKeysState{} : found->second;
  });
}

IssuerKeys::~IssuerKeys() {
  state_->stopped = true;
  state_->api.know_issuer_keys(nullptr);
  state_->timer.cancel();
}

void IssuerKeys::start() {
  asio::co_spawn(state_->executor, State::run(state_), net::VitalTask{"fetching issuers' keys"});
}

const std::map<std::string, IssuerKeysState>& IssuerKeys::states() const { return state_->states; }

Task<Result<ApiAnswer>> IssuerKeys::answer(ApiRequest request, ControlApi::Permitted permitted) {
  const std::shared_ptr<State> state = state_;
  const std::string id = permitted.path.name;
  const bool put = permitted.route->call == ControlCallName::PutIssuer;
  const std::string url = put ? url_in(request.body) : state->url_of(id);
  if (url.empty()) co_return state->api.answer(request, std::move(permitted));
  auto keys = co_await state->client->fetch(url);
  if (state->stopped) co_return Error{Code::Cancelled, "control stops"};
  if (!put && state->url_of(id) != url) {
    co_return Error{Code::FailedPrecondition,
                    "the issuer was changed while its keys were fetched: repeat", "jwks_url"};
  }
  if (!keys) {
    if (!put) state->note_failure(id, keys.error());
    co_return keys.error();
  }
  request.fetched_jwks = *keys;
  auto answer = state->api.answer(request);  // who asked may have lost the right to it meanwhile
  if (answer) state->note_fetched(id);
  co_return answer;
}

}  // namespace perigee::control
