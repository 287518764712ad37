#include "site/site.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <functional>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/private_file.h"
#include "base/secret.h"
#include "control/directory_follower.h"
#include "control/rate_lessee.h"
#include "control/usage_shipper.h"
#include "engine/openai/http_engine.h"
#include "gateway/gateway.h"
#include "gateway/http_answer.h"
#include "gateway/route_explain.h"
#include "identity/bearer_tokens/keys_and_tokens.h"
#include "ledger/sqlite/sqlite_ledger.h"
#include "net/vital_task.h"
#include "peer/held_filters.h"
#include "peer/peer_exchange.h"
#include "site/breaker_watch.h"
#include "site/drain.h"
#include "site/local_engines.h"
#include "site/process_setup.h"
#include "site/receipt_endpoints.h"
#include "site/site_endpoints.h"
#include "site/site_identity.h"
#include "site/site_metrics.h"
#include "site/site_receipts.h"
#include "site/status_page.h"

namespace perigee {
namespace {

constexpr Duration kTick = seconds{1};
constexpr Duration kToldMax = milliseconds{500};  // for peers to hear that this site stops
constexpr Duration kLook = milliseconds{20};
constexpr Duration kWarmingMax = seconds{5};
constexpr Duration kHurry = milliseconds{200};  // for last words
constexpr Duration kSettleMax = seconds{2};
constexpr Duration kShipMax = seconds{2};

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

InferenceOptions inference_options(const SiteConfig& config) {
  InferenceOptions options;
  options.site = config.name;
  options.heartbeat = config.heartbeat;
  options.first_token_timeout = config.first_token_timeout;
  options.answer_timeout = config.answer_timeout;
  options.requests_max = config.requests_max;
  return options;
}

// The gateway's own bounds on an attempt come first; the connection's are behind them.
net::ClientLimits engine_limits(const SiteConfig& config) {
  constexpr Duration kSlack = seconds{5};
  net::ClientLimits limits;
  limits.head_timeout = std::max(config.answer_timeout, config.first_token_timeout) + kSlack;
  limits.read_timeout = std::max(limits.read_timeout, config.first_token_timeout) + kSlack;
  return limits;
}

RouterOptions router_options(std::uint64_t seed) {
  RouterOptions options;
  options.seed = seed;
  return options;
}

}  // namespace

// Built top to bottom, destroyed bottom to top: what comes later may use what comes earlier.
struct Site::Parts {
  Parts(SiteConfig configured, std::string program_path)
      : config(std::move(configured)),
        program(std::move(program_path)),
        router(router_options(random_seed())),
        identity(io.get_executor(), clock, config),
        engine_client(io.get_executor(), clock, engine_limits(config), identity.client()),
        probe_client(io.get_executor(), clock, probe_limits(), identity.client()),
        keys(clock),
        ticker(io.get_executor(), clock, kTick),
        drain(io.get_executor(), config.drain_grace, [this] { inference->leave_local_engines(); }) {
  }

  Result<> build();
  Result<> open_ledger(const std::string& credential);
  bool close_ledger();
  void build_gateway(const std::string& credential, ScrapeCheck scrape);
  Result<> build_view(const std::string& credential);
  PeerAddresses peer_addresses() const { return {config.peer_addresses, identity.grid()}; }
  Result<> follow_rates(const std::string& credential);
  void follow_receipts();
  void sign_receipts(const control::MemberIdentity& member);
  void on_directory(const std::shared_ptr<const DirectorySnapshot>& snapshot);
  std::vector<BreakerReport> look_at_breakers();
  SiteStatus status();
  Digest digest();
  bool drained() const;
  void follow_drain();
  void on_signal(int signal);
  Task<> stop(int signal);
  void leave_engines_after(Duration time);
  Task<> hurry();
  Task<> wait_while(bool (Parts::*condition)() const, Duration at_most);
  bool peers_untold() const { return !peers->all_told(); }
  bool serving() const { return inference->running() > 0; }
  bool nowhere_to_run() const;
  Task<> handle(net::Request& request, net::ResponseWriter& out);
  Task<> handle_once_warm(net::Request& request, net::ResponseWriter& out);

  SiteConfig config;
  std::string program;
  std::optional<FolderLock> lock;  // outlives all that writes there
  SystemClock clock;
  asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  Router router;
  EngineTable engine_table;
  SiteIdentity identity;
  net::HttpClient engine_client;
  net::HttpClient probe_client;
  KeysAndTokens keys;
  Ticker ticker;
  Drain drain;
  BreakerWatch breakers{router};
  SiteMetrics metrics{PERIGEE_VERSION};
  HeldFilters filters{random_seed()};
  std::shared_ptr<const DirectorySnapshot> directory = std::make_shared<DirectorySnapshot>();
  std::unique_ptr<SqliteLedger> ledger;
  std::unique_ptr<control::UsageShipper> shipper;
  RateGate rates{io.get_executor(), clock, random_seed()};
  SiteReceipts receipts{config.state_dir, config.name, config.jurisdiction, clock,
                        config.receipts_keep};
  std::optional<Inference> inference;
  IdempotencyTable once{clock, config.idempotency};
  std::optional<Gateway> gateway;
  std::optional<LocalEngines> engines;
  std::optional<PeerExchange> peers;
  std::optional<control::DirectoryFollower> follower;
  std::unique_ptr<control::RateLessee> lessee;
  std::optional<net::HttpServer> server;
  std::optional<Error> receipts_failed;  // why there are none
  Instant started{};
  Timer moving{io.get_executor()};
  bool stopping = false;
  bool warm = false;  // it has had somewhere to run a request, or waited long enough for it
};

Result<> Site::Parts::build() {
  PERIGEE_TRY(scrape, ScrapeCheck::make(config.listen.is_loopback(), config.metrics_token_file));
  raise_descriptor_limit(config.http.connections_max);
  PERIGEE_CHECK(make_private_folder(config.state_dir));
  PERIGEE_TRY(held, FolderLock::lock(config.state_dir));
  lock.emplace(std::move(held));
  PERIGEE_TRY(key, read_key(config.key_file));
  PERIGEE_CHECK(identity.open(key));
  if (identity.member()) PERIGEE_CHECK(receipts.use(*identity.member()));
  PERIGEE_CHECK(open_ledger(key));
  started = clock.now();
  inference.emplace(
      Inference::Parts{io.get_executor(), clock, router, engine_table, *ledger, ticker, metrics,
                       [this] { return directory; }, random_seed(),
                       [this](const ModelId& model) { return engines->load(model); }, &rates},
      inference_options(config));
  build_gateway(key, std::move(scrape));
  PERIGEE_CHECK(build_view(key));
  if (receipts_failed) return *receipts_failed;
  PERIGEE_CHECK(follow_rates(key));
  server.emplace(
      io.get_executor(), clock, config.http,
      [this](net::Request& request, net::ResponseWriter& out) { return handle(request, out); });
  identity.show(*server, [this](const control::MemberIdentity& member) { sign_receipts(member); });
  PERIGEE_TRY(bound, server->listen(config.listen));
  log::info("site listening", {{"site", config.name.str()}, {"address", bound.to_string()}});
  return {};
}

Result<> Site::Parts::open_ledger(const std::string& credential) {
  const std::string file = config.state_dir + "/usage.db";
  PERIGEE_TRY(opened, SqliteLedger::open(file, {.spare_bytes = config.spare_disk_bytes}));
  if (opened->recovered() > 0) {
    log::warning("requests that the last run left open are settled as abandoned",
                 {{"requests", opened->recovered()}});
  }
  ledger = std::move(opened);
  control::ShipperOptions shipping;
  shipping.file = file;
  shipping.url = config.control_url;
  shipping.key = credential;
  shipping.grid = identity.grid();
  shipping.tls = identity.client();
  shipping.seed = random_seed();
  PERIGEE_TRY(ship, control::UsageShipper::start(std::move(shipping), clock));
  shipper = std::move(ship);
  return {};
}

// After the last request: what is settled is stored, then delivered if control is there. False: the
// disk did not take all.
bool Site::Parts::close_ledger() {
  const std::uint64_t lost = ledger->close();
  receipts.close();
  if (!shipper->finish(kShipMax)) {
    log::warning("usage records wait for the next start: control did not take them",
                 {{"records", shipper->status().waiting}});
  }
  shipper.reset();
  return lost == 0;
}

void Site::Parts::build_gateway(const std::string& credential, ScrapeCheck scrape) {
  gateway.emplace(io.get_executor(), clock, keys, *inference, once);
  gateway->require_members(identity.grid());
  SiteEndpoints::Parts parts{
      clock,
      router,
      *inference,
      metrics,
      keys,
      std::move(scrape),
      [this] { return directory; },
      [this] { return status(); },
      [this](const Digest& heard) { return peers->digest_for(heard.site, heard.holds); },
      [this](const Digest& heard) { peers->heard(heard); }};
  add_site_endpoints(*gateway, std::move(parts));
  add_receipt_endpoints(
      *gateway, {io.get_executor(), config.name, receipts, probe_client, "Bearer " + credential,
                 peer_addresses(), [this] { return directory; }});
}

// What this site knows of the grid, and who tells it.
Result<> Site::Parts::build_view(const std::string& credential) {
  const std::string authorization = "Bearer " + credential;
  engines.emplace(LocalEngines::Parts{io.get_executor(), clock, router, engine_table, engine_client,
                                      probe_client, program,
                                      [this] {
                                        if (peers) peers->changed();
                                      },
                                      [this](const ModelId& model, std::shared_ptr<Engine> engine) {
                                        return receipts.wrap(model, std::move(engine));
                                      },
                                      [this] { inference->look_again(); },
                                      [this] { inference->look_for_unreachable(); }},
                  config);
  PeerOptions options;
  options.self = config.name;
  options.credential = authorization;
  options.neighbours_max = config.neighbours_max;
  options.interval = config.exchange_interval;
  options.addresses = peer_addresses();
  options.tls = identity.client();
  options.backbone_ms_per_mib = config.backbone_ms_per_mib;
  peers.emplace(PeerExchange::Parts{io.get_executor(), clock, router, engine_table,
                                    [this, authorization](const net::Endpoint& endpoint) {
                                      HttpEngineOptions engine;
                                      engine.endpoint = endpoint;
                                      engine.authorization = authorization;
                                      return std::make_shared<HttpEngine>(io.get_executor(), clock,
                                                                          engine_client,
                                                                          std::move(engine));
                                    },
                                    [this] {
                                      if (peers) look_at_breakers();
                                      return digest();
                                    },
                                    [this] { inference->look_again(); },
                                    [this] {
                                      if (follower) follower->hurry();
                                    },
                                    [this] { inference->look_for_unreachable(); }},
                std::move(options));
  control::FollowerOptions following;
  following.url = config.control_url;
  following.key = credential;
  following.grid = identity.grid();
  following.tls = identity.client();
  following.file = config.state_dir + "/directory.snapshot";
  following.seed = random_seed();
  follower.emplace(
      io.get_executor(), clock, std::move(following),
      [this](const std::shared_ptr<const DirectorySnapshot>& snapshot) { on_directory(snapshot); });
  return follower->start();
}

// Limits per minute hold over the whole grid: this site's share of each is control's to grant.
Result<> Site::Parts::follow_rates(const std::string& credential) {
  control::RateLesseeOptions options;
  options.url = config.control_url;
  options.key = credential;
  options.grid = identity.grid();
  options.tls = identity.client();
  control::RateHolder holder;
  holder.report = [this] { return rates.report(); };
  holder.granted = [this](const RateReport& report, const std::vector<RateGrant>& grants) {
    rates.granted(report, grants);
  };
  holder.failed = [this](const RateReport& report) { rates.failed(report); };
  holder.has_claims = [this] { return rates.has_claims(); };
  holder.linked_since = [this] { return follower->link().since; };
  PERIGEE_TRY(line, control::RateLessee::start(io.get_executor(), clock, std::move(options),
                                               std::move(holder)));
  lessee = std::move(line);
  rates.on_want([this] { lessee->wake(); });
  return {};
}

void Site::Parts::on_directory(const std::shared_ptr<const DirectorySnapshot>& snapshot) {
  directory = snapshot;
  keys.update(*snapshot);
  inference->follow(*snapshot);
  follow_receipts();
  if (server) identity.cut_former_members(*server, *snapshot);
  engines->follow(*snapshot);
  peers->follow(*snapshot);
  follow_drain();
  peers->changed();
}

// A log that can't be opened ends the start. One that can't be begun later leaves the site without
// work of its own, and says so.
void Site::Parts::follow_receipts() {
  auto followed = receipts.follow(*directory);
  if (followed) return;
  if (!receipts_failed) {
    log::error("no receipts can be given", {{"fault", followed.error().message}});
  }
  receipts_failed = std::move(followed).error();
}

// By another certificate.
void Site::Parts::sign_receipts(const control::MemberIdentity& member) {
  if (auto used = receipts.use(member); !used) {
    log::error("receipts go on being signed as before", {{"fault", used.error().message}});
  }
}

bool Site::Parts::drained() const {
  const auto self = directory->sites.find(config.name);
  return self != directory->sites.end() && self->second.drained;
}

void Site::Parts::follow_drain() {
  if (!stopping) drain.set(drained());
  engines->set_drained(stopping || drained());
}

std::vector<BreakerReport> Site::Parts::look_at_breakers() {
  std::vector<CandidateId> candidates;
  for (const EngineStatus& engine : engines->status()) {
    candidates.push_back({config.name, engine.name, engine.model});
  }
  for (const PeerStatus& peer : peers->status()) {
    for (const ModelId& model : peer.models) candidates.push_back({peer.site, EngineId{}, model});
  }
  return breakers.look(candidates, clock.now());
}

SiteStatus Site::Parts::status() {
  SiteStatus status;
  status.site = config.name;
  status.revision = directory->revision;
  status.connected = follower->link().connected;
  status.drained = drained();
  status.stopping = stopping;
  status.running = engines->running();
  status.uptime = clock.now() - started;
  status.streams = inference->running();
  status.connections = server->connections();
  status.requests = metrics.requests();
  status.engines = engines->status();
  status.queues = engines->queues();
  status.peers = peers->status();
  status.breakers = look_at_breakers();
  status.control_fault = follower->link().connected ? std::string{} : follower->link().error;
  status.usage = shipper->status();
  status.certificate_until = identity.until();
  if (const proof::ReceiptWriter* writer = receipts.writer()) {
    status.receipts = writer->figures();
    status.head_age = microseconds{clock.wall().micros - status.receipts->head_time.micros};
  }
  return status;
}

Digest Site::Parts::digest() {
  Digest digest;
  digest.site = config.name;
  digest.revision = directory->revision;
  digest.drained = stopping || drained();
  digest.reserved_share = config.reserved_share;
  digest.power_share = config.power_share;
  digest.models = engines->digest();
  for (ModelDigest& model : digest.models) filters.fill(model, router, clock.now());
  return digest;
}

bool Site::Parts::nowhere_to_run() const {
  if (directory->revision == 0) return true;
  if (engines->any_ready()) return false;
  return std::ranges::none_of(peers->status(), [](const PeerStatus& peer) {
    return peer.state == PeerState::Up && !peer.models.empty();
  });
}

// Not a coroutine: one more frame would be held for as long as the answer takes.
Task<> Site::Parts::handle(net::Request& request, net::ResponseWriter& out) {
  const bool for_engines = request.method == "POST" && request.path.starts_with("/v1/");
  return warm || !for_engines ? gateway->handle(request, out) : handle_once_warm(request, out);
}

// A site that has just started knows no engine and no peer for a moment: who calls in it waits, as
// if the connection had taken longer, instead of being refused.
Task<> Site::Parts::handle_once_warm(net::Request& request, net::ResponseWriter& out) {
  co_await wait_while(&Parts::nowhere_to_run, kWarmingMax);
  warm = true;
  co_await gateway->handle(request, out);
}

// Waits while it holds, at most so long.
Task<> Site::Parts::wait_while(bool (Parts::*condition)() const, Duration at_most) {
  const Instant latest = clock.now() + at_most;
  Timer timer{io.get_executor()};
  while ((this->*condition)() && clock.now() < latest) {
    timer.expires_after(kLook);
    co_await timer.async_wait(kAwait);
  }
}

// 1. Not ready any more, and peers hear that nothing new is to come; what comes is still served.
// 2. Nothing is accepted; what runs may end. Shortly before `drain_grace` is over, what runs on its
//    engines goes on elsewhere; this site passes on what its own clients are sent until it ends.
// 3. What is left after `stop_grace` is cut and settled.
Task<> Site::Parts::stop(int signal) {
  log::info("site stopping", {{"signal", signal}, {"running", inference->running()}});
  const Duration last = std::min<Duration>(config.drain_grace / 4, seconds{1});
  follow_drain();
  peers->changed();
  co_await wait_while(&Parts::peers_untold, kToldMax);
  leave_engines_after(config.drain_grace - last);
  once.close();
  co_await server->shut_down(config.drain_grace, config.stop_grace);
  moving.cancel();
  co_await wait_while(&Parts::serving, kSettleMax);  // what was cut must still settle its record
  io.stop();
}

// And then every second, for what slipped in.
void Site::Parts::leave_engines_after(Duration time) {
  moving.expires_after(time);
  moving.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;
    inference->leave_local_engines();
    leave_engines_after(seconds{1});
  });
}

// The second signal: whoever asks twice wants no more patience.
Task<> Site::Parts::hurry() {
  log::warning("site stopping at once: asked again", {{"running", inference->running()}});
  inference->leave_local_engines();
  co_await server->shut_down(kHurry);
}

void Site::Parts::on_signal(int signal) {
  const bool again = std::exchange(stopping, true);
  asio::co_spawn(io.get_executor(), again ? hurry() : stop(signal),
                 net::VitalTask{"stopping the site"});
}

Site::Site(SiteConfig config, std::string program)
    : parts_(std::make_unique<Parts>(std::move(config), std::move(program))) {}

Site::~Site() = default;

Result<> Site::start() { return parts_->build(); }

int Site::run() {
  asio::basic_signal_set<Executor> signals{parts_->io.get_executor(), SIGTERM, SIGINT};
  std::function<void()> watch = [&] {
    signals.async_wait([&](boost::system::error_code error, int signal) {
      if (error) return;
      parts_->on_signal(signal);
      watch();
    });
  };
  watch();
  parts_->io.run();
  parts_->follower.reset();  // what is left of a full disk's room is for the usage
  const bool stored = parts_->inference->running() > 0 || parts_->close_ledger();
  log::info("site stopped", {{"site", parts_->config.name.str()}});
  return stored ? 0 : 1;
}

}  // namespace perigee
