#include "control/issuer_keys.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>
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

  // Forgets those that have no URL any more.
  void look_at_issuers() {
    const auto gone = [this](const auto& entry) { return url_of(entry.first).empty(); };
    std::erase_if(due, gone);
    std::erase_if(states, gone);
    for (const auto& [id, issuer] : table.snapshot().issuers) {
      if (!issuer.jwks_url.empty()) due.try_emplace(id, clock.now());
    }
  }

  // Of one issuer there is one at a time, however long it takes.
  class Fetching {
   public:
    Fetching(State& state, std::string id) : state_(state), id_(std::move(id)) {
      state_.fetching.insert(id_);
    }
    Fetching(const Fetching&) = delete;
    Fetching& operator=(const Fetching&) = delete;
    ~Fetching() {
      state_.fetching.erase(id_);
      state_.timer.cancel();  // when it is due again is known now
    }

   private:
    State& state_;
    std::string id_;
  };

  static Task<void> refresh(std::shared_ptr<State> self, std::string id) {
    if (self->stopped) co_return;
    const Fetching fetching{*self, id};
    const std::string url = self->url_of(id);
    if (url.empty()) co_return;  // it was removed before this began
    auto keys = co_await self->client->fetch(url);
    if (self->stopped || self->url_of(id) != url) co_return;  // it was changed meanwhile
    Result<> stored = keys ? self->api.refresh_issuer(id, *keys, url) : Result<>{keys.error()};
    if (stored) {
      self->note_fetched(id);
    } else {
      self->note_failure(id, stored.error());
    }
  }

  // One that is slow, or silent, delays no other.
  static Task<void> run(std::shared_ptr<State> self) {
    while (!self->stopped) {
      self->look_at_issuers();
      const Instant now = self->clock.now();
      for (auto& [id, time] : self->due) {
        if (time > now || self->fetching.contains(id)) continue;
        time = now + self->interval;
        asio::co_spawn(self->executor, refresh(self, id),
                       net::VitalTask{"fetching an issuer's keys"});
      }
      Instant next = now + self->interval;
      for (const auto& [id, time] : self->due) {
        if (!self->fetching.contains(id)) next = std::min(next, time);
      }
      self->timer.expires_after(std::max<Duration>(next - now, milliseconds{10}));
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
  std::set<std::string> fetching;
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
