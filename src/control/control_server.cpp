#include "control/control_server.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "api/error_body.h"
#include "api/headers.h"
#include "base/log.h"
#include "control/control_api.h"
#include "control/control_metrics.h"
#include "control/rate_desk.h"
#include "control/usage_desk.h"
#include "net/http_server.h"
#include "net/query.h"
#include "net/tls_peer.h"
#include "net/vital_task.h"
#include "pki/spiffe_id.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

constexpr std::size_t kHeadBytesMax = 16 * 1024;
constexpr std::size_t kWriteBytesMax = 64 * 1024;
constexpr std::string_view kJson = "application/json";

net::ServerLimits server_limits(const ControlServerOptions& options) {
  net::ServerLimits limits;
  limits.body_bytes_max = kCallBytesMax;
  limits.head_bytes_max = kHeadBytesMax;
  limits.connections_max = options.watchers_max + 1'000;
  return limits;
}

// The value of a query's field; empty when absent.
std::string_view query_field(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const net::QueryField field = net::take_query_field(query);
    if (field.name == name) return field.value;
  }
  return {};
}

struct WatchStart {
  std::uint64_t from = 0;
  std::string_view epoch;
};

Result<WatchStart> watch_start(std::string_view query) {
  WatchStart start;
  start.epoch = query_field(query, "epoch");
  const std::string_view from = query_field(query, "from");
  const auto read = std::from_chars(from.data(), from.data() + from.size(), start.from);
  if (read.ec != std::errc{} || read.ptr != from.data() + from.size()) {
    return Error{Code::InvalidArgument,
                 "`from` must be the revision of the snapshot: /control/v1/watch?from=REVISION",
                 "from"};
  }
  return start;
}

std::string error_event(const Error& error) {
  return "event: error\ndata: " + api::error_body(error) + "\n\n";
}

}  // namespace

struct ControlServerState {
  ControlServerState(Executor io, const Clock& system_clock,
                     std::unique_ptr<DirectoryTable> directory_table,
                     ControlServerOptions server_options)
      : executor(io),
        clock(system_clock),
        table(std::move(directory_table)),
        renewal(io),
        api(*table, system_clock),
        rates(*table, system_clock),
        options(server_options) {}

  // A removed site's certificate is good for days; its connections end now.
  void cut_former_members() {
    if (!tls || !server) return;
    server->cut_members([this](std::string_view id) {
      const auto member = pki::parse_spiffe_id(id);
      if (!member || member->role != pki::MemberRole::Site) return false;
      const auto& sites = table->snapshot().sites;
      const auto site = sites.find(SiteId{member->name});
      return site == sites.end() || !site->second.joined;
    });
  }

  void wake_watchers() {
    for (Timer* timer : watchers) timer->cancel();
  }

  Executor executor;
  const Clock& clock;
  std::unique_ptr<DirectoryTable> table;
  std::unique_ptr<GridAuthority> authority;
  std::vector<std::string> hosts;  // that control's own certificate names
  Timer renewal;
  ControlApi api;
  RateDesk rates;
  ControlServerOptions options;
  std::unique_ptr<AuditLog> audit;
  std::optional<UsageDesk> usage;
  std::optional<IssuerKeys> issuer_keys;
  ScrapeCheck scrape{false};
  ControlMetrics metrics{PERIGEE_VERSION};
  std::set<Timer*> watchers;
  bool stopping = false;
  bool tls = false;
  std::optional<net::HttpServer> server;  // its handlers hold this state
};

namespace {

using StatePtr = std::shared_ptr<ControlServerState>;

Task<void> respond_error(Error error, net::ResponseWriter& out) {
  const std::string body = api::error_body(error);
  const std::string retry_after = std::to_string((error.retry_after_ms + 999) / 1000);
  std::array<net::Header, 3> headers{net::Header{"content-type", kJson}};
  std::size_t count = 1;
  if (error.retry_after_ms > 0) headers.at(count++) = {api::headers::kRetryAfter, retry_after};
  if (error.code == Code::Unauthenticated) {
    headers.at(count++) = {api::headers::kAuthenticate, api::headers::kBearer};
  }
  (void)co_await out.respond(api::http_status(error), std::span{headers.data(), count}, body);
}

Task<void> respond(ApiAnswer answer, net::ResponseWriter& out) {
  const std::string etag = "\"" + std::to_string(answer.revision) + "\"";
  std::array<net::Header, 2> headers{net::Header{"content-type", kJson}, net::Header{"etag", etag}};
  const std::size_t count = answer.revision > 0 ? 2 : 1;
  (void)co_await out.respond(answer.status, std::span{headers.data(), count}, answer.text());
}

// One watch, from its head to its end.
class Watch {
 public:
  Watch(StatePtr state, net::ResponseWriter& out, std::string authorization)
      : state_(std::move(state)),
        out_(out),
        authorization_(std::move(authorization)),
        timer_(state_->executor) {
    state_->watchers.insert(&timer_);
    out_.watch_client([this] {
      left_ = true;
      timer_.cancel();
    });
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    out_.watch_client(nullptr);
    state_->watchers.erase(&timer_);
  }

  // Streams until the client leaves, the server stops or the watch can't go on.
  Task<void> run(std::uint64_t from) {
    const std::array<net::Header, 2> headers{net::Header{"content-type", "text/event-stream"},
                                             net::Header{"cache-control", "no-store"}};
    auto begun = co_await out_.begin(200, headers);
    if (!begun) co_return;
    std::string text = ": watching\n\n";
    for (;;) {
      if (!text.empty()) {
        auto written = co_await out_.write(text);
        if (!written) co_return;
        text.clear();
      }
      if (left_) co_return;
      if (ended_ || state_->stopping) break;
      if (from == state_->table->snapshot().revision) {
        text = co_await wait();
        continue;
      }
      text = next_events(from);
      // A client that reads as fast as this writes would else be served its whole lag in one turn.
      co_await asio::post(state_->executor, asio::deferred);
    }
    (void)co_await out_.finish();
  }

 private:
  // What to say after the wait: a heartbeat, or nothing when something happened.
  Task<std::string> wait() {
    timer_.expires_after(state_->options.heartbeat);
    auto waited = co_await timer_.async_wait(kAwait);
    const bool interrupted = static_cast<bool>(std::get<0>(waited));
    co_return interrupted ? std::string{} : std::string{": heartbeat\n\n"};
  }

  // The next events after `from`, which moves on; the last word when it can't go on.
  std::string next_events(std::uint64_t& from) {
    // A key that the change revoked must not see the change.
    if (auto caller = state_->table->identity().authenticate(authorization_); !caller) {
      ended_ = true;
      return error_event(caller.error());
    }
    auto events = state_->table->events_since(from, kWriteBytesMax);
    if (!events) {
      ended_ = true;
      return error_event(events.error());
    }
    std::string text;
    for (const DirectoryTable::NumberedEvent& event : *events) {
      text += "id: " + std::to_string(event.revision) + "\ndata: " + *event.text + "\n\n";
      from = event.revision;
    }
    return text;
  }

  StatePtr state_;
  net::ResponseWriter& out_;
  std::string authorization_;
  Timer timer_;
  bool left_ = false;
  bool ended_ = false;
};

Result<> may_watch(const ControlServerState& state, const Caller& caller, const WatchStart& start) {
  if (state.watchers.size() >= state.options.watchers_max) {
    return Error{Code::ResourceExhausted, "too many watches: repeat later", "", 1000};
  }
  if (!start.epoch.empty()) {
    if (auto known = state.table->knows(start.epoch, start.from); !known) {
      if (known.error().param == "history") {
        log::error("a follower knows what this directory does not: is this an older copy?",
                   {{"site", caller.site.str()},
                    {"its_revision", start.from},
                    {"revision", state.table->snapshot().revision}});
      }
      return known.error();
    }
  }
  return state.table->check_since(start.from);
}

Task<void> watch(StatePtr state, Caller caller, net::Request& request, net::ResponseWriter& out) {
  Result<WatchStart> start = watch_start(request.query);
  Result<> allowed = start ? may_watch(*state, caller, *start) : Result<>{start.error()};
  if (!allowed) {
    Error error = allowed.error();
    co_await respond_error(std::move(error), out);
    co_return;
  }
  const std::uint64_t from = start->from;
  Watch running{state, out, std::string{request.header("authorization")}};
  out.release_request();
  co_await running.run(from);
}

// What is not a function of the directory alone.
Task<Result<ApiAnswer>> usage(StatePtr state, const ControlApi::Permitted& permitted,
                              net::Request& request, const std::string& from) {
  if (!state->usage) co_return Error{Code::NotFound, "this control keeps no usage"};
  std::string body{request.body};
  std::string query{request.query};
  UsageActor actor{permitted.caller.key_id, from};
  switch (permitted.route->call) {
    case ControlCallName::DeliverUsage: {
      SiteId site = permitted.caller.site;
      co_return co_await state->usage->take(std::move(body), std::move(site));
    }
    case ControlCallName::ListUsageAside:
      co_return co_await state->usage->list_aside(std::move(query));
    case ControlCallName::TakeInUsage:
      co_return co_await state->usage->settle_aside(std::move(body), AsideEnd::TakeIn,
                                                    std::move(actor));
    case ControlCallName::DropUsage:
      co_return co_await state->usage->settle_aside(std::move(body), AsideEnd::Drop,
                                                    std::move(actor));
    default: co_return co_await state->usage->report(std::move(query));
  }
}

// For the audit log: the address of the other end, and the member of the grid that it showed itself
// to be. What comes in the clear is from this machine.
std::string origin_of(const net::Request& request) {
  std::string origin = request.remote_is_loopback ? "loopback" : "network";
  if (request.tls_peer != nullptr && !request.tls_peer->address.empty()) {
    origin = request.tls_peer->address;
  }
  if (!request.member().empty()) origin.append(" ").append(request.member());
  return origin;
}

// One call of the API, whoever answers it.
Task<void> answer_call(StatePtr state, net::Request& request, net::ResponseWriter& out) {
  const std::string from = origin_of(request);
  const ApiRequest asked{request.method,
                         request.path,
                         request.body,
                         request.header("authorization"),
                         request.header("if-match"),
                         request.header("if-none-match"),
                         from,
                         request.member()};
  auto permitted = state->api.permit(asked);
  if (!permitted) {
    Error error = permitted.error();
    co_await respond_error(std::move(error), out);
    co_return;
  }
  Result<ApiAnswer> answer = ApiAnswer{};
  switch (permitted->route->call) {
    case ControlCallName::Watch:
      co_await watch(std::move(state), std::move(permitted->caller), request, out);
      co_return;
    case ControlCallName::DeliverUsage:
    case ControlCallName::ReadUsage:
    case ControlCallName::ListUsageAside:
    case ControlCallName::TakeInUsage:
    case ControlCallName::DropUsage:
      answer = co_await usage(state, *permitted, request, from);
      break;
    case ControlCallName::LeaseRates:
      answer = state->rates.take(request.body, permitted->caller.site);
      break;
    case ControlCallName::PutIssuer:
    case ControlCallName::RefreshIssuer:
      if (state->issuer_keys) {
        answer = co_await state->issuer_keys->answer(asked, std::move(*permitted));
        break;
      }
      [[fallthrough]];
    default: answer = state->api.answer(asked, std::move(*permitted));
  }
  if (!answer) {
    Error error = answer.error();
    co_await respond_error(std::move(error), out);
    co_return;
  }
  co_await respond(std::move(*answer), out);
}

Task<void> show_metrics(StatePtr state, net::Request& request, net::ResponseWriter& out) {
  const auto may = state->scrape.check(request.header("authorization"), state->table->identity());
  if (!may) {
    Error error = may.error();
    co_await respond_error(std::move(error), out);
    co_return;
  }
  ControlFigures figures;
  figures.watches = state->watchers.size();
  figures.connections = state->server->connections();
  if (state->audit) figures.audit_lines = state->audit->end().lines;
  if (state->usage) figures.usage = state->usage->counts();
  if (state->issuer_keys) figures.issuers = state->issuer_keys->states();
  const std::string body = state->metrics.exposition(state->table->snapshot(), figures);
  const std::array<net::Header, 1> headers{net::Header{"content-type", metrics::kContentType}};
  (void)co_await out.respond(200, headers, body);
}

Task<void> handle(StatePtr state, net::Request& request, net::ResponseWriter& out) {
  if (request.path.starts_with(kPathPrefix)) {
    co_await answer_call(std::move(state), request, out);
    co_return;
  }
  if (request.path == "/healthz" || request.path == "/readyz") {
    ApiAnswer well{200, R"({"status":"ok"})", 0};
    co_await respond(std::move(well), out);
    co_return;
  }
  if (request.path == "/metrics" && (request.method == "GET" || request.method == "HEAD")) {
    co_await show_metrics(std::move(state), request, out);
    co_return;
  }
  Error error{Code::NotFound, "no such path: see docs/control_api.md"};
  co_await respond_error(std::move(error), out);
}

}  // namespace

ControlServer::ControlServer(Executor executor, const Clock& clock,
                             std::unique_ptr<DirectoryTable> table, ControlServerOptions options)
    : state_(std::make_shared<ControlServerState>(executor, clock, std::move(table), options)) {
  // The handlers keep the state alive; the state's destructor runs after the last of them.
  std::weak_ptr<ControlServerState> weak = state_;
  state_->server.emplace(executor, clock, server_limits(options),
                         [weak](net::Request& request, net::ResponseWriter& out) {
                           return handle(weak.lock(), request, out);
                         });
  state_->table->on_change([weak] {
    auto state = weak.lock();
    if (!state) return;
    state->wake_watchers();
    state->cut_former_members();
  });
}

ControlServer::~ControlServer() {
  state_->stopping = true;
  state_->renewal.cancel();
  state_->wake_watchers();
  state_->server.reset();
}

void ControlServer::keep_usage(std::unique_ptr<UsageStore> store) {
  state_->usage.emplace(state_->executor, std::move(store), *state_->table, state_->clock);
  if (state_->audit) state_->usage->keep_audit(*state_->audit);
  state_->api.know_last_use(
      [desk = &*state_->usage](const std::string& key) { return desk->last_use(key); });
}

void ControlServer::keep_audit(std::unique_ptr<AuditLog> audit) {
  state_->api.keep_audit(*audit);
  state_->audit = std::move(audit);
  if (state_->usage) state_->usage->keep_audit(*state_->audit);
}

void ControlServer::keep_issuer_keys(std::unique_ptr<JwksClient> client, Duration interval) {
  state_->issuer_keys.emplace(state_->executor, state_->clock, *state_->table, state_->api,
                              std::move(client), interval);
  state_->issuer_keys->start();
}

void ControlServer::let_scrape(ScrapeCheck scrape) { state_->scrape = std::move(scrape); }

namespace {

Result<> show_own_certificate(ControlServerState& state) {
  PERIGEE_TRY(own, state.authority->sign_control(state.hosts));
  PERIGEE_TRY(tls, net::TlsServer::make({own, std::nullopt}));
  state.tls = true;
  state.server->use_tls(tls);
  return {};
}

Task<void> renew_own_certificate(StatePtr state) {
  while (!state->stopping) {
    state->renewal.expires_after(state->authority->lifetime() / 2);
    (void)co_await state->renewal.async_wait(kAwait);
    if (state->stopping) co_return;
    if (auto shown = show_own_certificate(*state); !shown) {
      log::error("control's certificate could not be renewed", {{"error", shown.error().message}});
    }
  }
}

}  // namespace

Result<> ControlServer::keep_authority(std::unique_ptr<GridAuthority> authority,
                                       std::vector<std::string> hosts) {
  state_->authority = std::move(authority);
  state_->hosts = std::move(hosts);
  state_->api.use_authority(*state_->authority, state_->hosts);
  PERIGEE_CHECK(show_own_certificate(*state_));
  asio::co_spawn(state_->executor, renew_own_certificate(state_),
                 net::VitalTask{"renewing the certificate"});
  return {};
}

void ControlServer::require_members(const std::string& grid) { state_->api.require_members(grid); }

void ControlServer::use_tls(std::shared_ptr<const net::TlsServer> tls) {
  state_->tls = true;
  state_->server->use_tls(std::move(tls));
}

Result<> ControlServer::check_address(const net::Endpoint& endpoint, bool tls) {
  if (tls || endpoint.is_loopback()) return {};
  return Error{Code::FailedPrecondition,
               "control has no certificate, so it listens on loopback only: make an authority "
               "(perigee ca init), or use 127.0.0.1:PORT",
               "listen"};
}

Result<net::Endpoint> ControlServer::listen(const net::Endpoint& endpoint) {
  PERIGEE_CHECK(check_address(endpoint, state_->tls));
  return state_->server->listen(endpoint);
}

Task<void> ControlServer::shut_down(Duration grace) {
  state_->stopping = true;
  state_->renewal.cancel();
  state_->wake_watchers();
  co_await state_->server->shut_down(grace);
}

DirectoryTable& ControlServer::table() { return *state_->table; }

}  // namespace perigee::control
