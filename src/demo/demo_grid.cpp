#include "demo/demo_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/private_file.h"
#include "control/grid_authority.h"
#include "control/member_files.h"
#include "demo/control_calls.h"
#include "demo/demo_process.h"
#include "demo/port_lease.h"
#include "demo/state_file.h"
#include "pki/authority.h"

namespace perigee::demo {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr Duration kPoll = milliseconds{20};
constexpr Duration kEndMax = seconds{4};  // between asking and killing
constexpr std::size_t kNeighboursMax = 8;
constexpr const char* kGridName = "demo";

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

struct SiteProcess {
  PlannedSite plan;
  PortLease port;
  std::unique_ptr<DemoProcess> process;

  std::string address() const { return fmt::format("127.0.0.1:{}", port.port()); }
  std::string url() const { return "http://" + address(); }
};

// How many engines of other sites a site can know of: it looks at its nearest neighbours only.
std::size_t candidates_expected(const std::vector<SiteProcess>& sites) {
  const auto serving =
      std::ranges::count_if(sites, [](const SiteProcess& site) { return site.plan.slots > 0; });
  return sites.size() <= kNeighboursMax + 1 ? static_cast<std::size_t>(serving) : 1;
}

// Of POST /v1/route/explain: how many candidates may run the request.
std::size_t count_usable(const json::value& explained) {
  const json::value* candidates =
      explained.is_object() ? explained.get_object().if_contains("candidates") : nullptr;
  if (candidates == nullptr || !candidates->is_array()) return 0;
  return static_cast<std::size_t>(
      std::ranges::count_if(candidates->get_array(), [](const json::value& candidate) {
        if (!candidate.is_object()) return false;
        const json::value* rejection = candidate.get_object().if_contains("rejection");
        return rejection != nullptr && rejection->is_null();
      }));
}

}  // namespace

struct DemoGrid::State {
  State(Executor io, const Clock& time, DemoOptions wishes,
        std::function<void(const std::string&)> teller)
      : executor(io),
        clock(time),
        options(std::move(wishes)),
        tell(std::move(teller)),
        client(io, time),
        relay(io, time, options.seed) {}

  Task<> pause() {
    Timer timer{executor};
    timer.expires_after(kPoll);
    co_await timer.async_wait(kAwait);
  }

  void notify() {
    if (changed) changed();
  }

  // --- before any process ---
  Result<> prepare();
  Result<> lease_ports();
  std::string control_folder() const { return folder + "/control"; }
  Task<Result<>> join(SiteProcess& site, ControlCalls& calls);
  std::unique_ptr<DemoProcess> make_process(const std::string& name);

  // --- starting ---
  Result<> spawn_control();
  Result<> spawn_site(SiteProcess& site);
  Result<> write_config(const SiteProcess& site);
  Task<Result<>> describe_grid();
  Task<Result<>> wait_ready(DemoProcess& process, std::string url);
  Task<Result<>> wait_serving(SiteProcess& site, std::size_t candidates);
  Task<std::size_t> usable_candidates(std::string url);

  // Why a wait for this process must end now; empty: it need not.
  std::optional<Error> why_give_up(const DemoProcess& process, Instant limit) const {
    if (cancelled) return Error{Code::Cancelled, "stopped before the grid was ready"};
    if (!process.running()) return process.failure("ended before it was ready");
    if (clock.now() > limit) return process.failure("did not become ready in time");
    return std::nullopt;
  }

  SiteProcess* find(const SiteId& name) {
    const auto found =
        std::ranges::find(sites, name, [](const SiteProcess& s) { return s.plan.name; });
    return found == sites.end() ? nullptr : &*found;
  }
  Error unknown(const SiteId& name) const {
    std::string names;
    for (const SiteProcess& site : sites) names += " " + site.plan.name.str();
    return Error{Code::NotFound,
                 fmt::format("no site is called {}; there are:{}", name.str(), names)};
  }

  Executor executor;
  const Clock& clock;
  DemoOptions options;
  std::function<void(const std::string&)> tell;
  std::function<void()> changed;
  GridClient client;
  Relay relay;
  std::string folder;
  std::optional<PortLease> control_port;
  std::unique_ptr<DemoProcess> control;
  std::vector<SiteProcess> sites;
  std::string key;
  bool ready = false;
  bool cancelled = false;
  bool stopping = false;
};

Result<> DemoGrid::State::prepare() {
  std::error_code error;
  if (!fs::is_regular_file(options.model_file, error)) {
    return Error{Code::NotFound, fmt::format("no model file at {}; name one with --model FILE",
                                             options.model_file)};
  }
  options.model_file = fs::absolute(options.model_file, error).string();
  PERIGEE_TRY(made, make_fresh_folder(options.temp));
  folder = made;
  PERIGEE_CHECK(lease_ports());
  control = make_process("control");
  if (options.tls) {
    PERIGEE_CHECK(control::init_authority(control_folder(), kGridName, clock.wall()));
  }
  for (SiteProcess& site : sites) {
    site.process = make_process(site.plan.name.str());
  }
  return {};
}

Result<> DemoGrid::State::lease_ports() {
  PERIGEE_TRY(plans, plan_sites(options.sites));
  if (options.ports > 65535 - plans.size()) {
    return Error{Code::InvalidArgument, "--ports leaves no room for the sites; choose less"};
  }
  std::uint16_t next = options.ports;
  const auto take = [&next] {
    auto lease = PortLease::take(next);
    if (next != 0) ++next;
    return lease;
  };
  PERIGEE_TRY(first, take());
  control_port.emplace(std::move(first));
  for (PlannedSite& plan : plans) {
    PERIGEE_TRY(port, take());
    sites.push_back({std::move(plan), std::move(port), nullptr});
  }
  return {};
}

std::unique_ptr<DemoProcess> DemoGrid::State::make_process(const std::string& name) {
  std::error_code error;
  const std::string own = folder + "/" + name;
  fs::create_directory(own, error);
  fs::permissions(own, fs::perms::owner_all, error);
  return std::make_unique<DemoProcess>(name, own, [this, name](const std::string& how) {
    if (stopping) return;
    if (ready)
      tell(fmt::format("{} ended ({}); start it again: perigee demo --start {}", name, how, name));
    notify();
  });
}

Result<> DemoGrid::State::spawn_control() {
  return control->start(executor, {options.program, "control", "--listen",
                                   fmt::format("127.0.0.1:{}", control_port->port()), "--state-dir",
                                   control->folder(), "--grid", kGridName});
}

Result<> DemoGrid::State::spawn_site(SiteProcess& site) {
  const std::string& own = site.process->folder();
  std::vector<std::string> environment;
  if (options.site_environment) environment = options.site_environment(site.plan.name, own);
  return site.process->start(executor, {options.program, "site", "--config", own + "/site.toml"},
                             std::move(environment));
}

Result<> DemoGrid::State::write_config(const SiteProcess& site) {
  SiteFile file;
  file.name = site.plan.name;
  file.listen = site.address();
  file.state_dir = site.process->folder();
  file.models_dir = fs::path{options.model_file}.parent_path().string();
  const net::Endpoint control_target{.host = "127.0.0.1", .port = control_port->port(), .path = {}};
  PERIGEE_TRY(control_way, relay.open({site.plan.name, SiteId{kControlLink}}, control_target, {}));
  file.control_url = (options.tls ? "https://" : "http://") + control_way.to_string();
  file.tls = options.tls;
  file.key_file = site.process->folder() + "/site.key";
  for (const SiteProcess& peer : sites) {
    if (peer.plan.name == site.plan.name) continue;
    const net::Endpoint target{.host = "127.0.0.1", .port = peer.port.port(), .path = {}};
    PERIGEE_TRY(address, relay.open({site.plan.name, peer.plan.name}, target,
                                    link_between(site.plan.place, peer.plan.place)));
    file.peer_addresses[peer.plan.name] = address.to_string();
  }
  return write_private_file(site.process->folder() + "/site.toml", render_site_file(file));
}

// As `perigee site join` does it on the site's machine.
Task<Result<>> DemoGrid::State::join(SiteProcess& site, ControlCalls& calls) {
  const std::string own = site.process->folder();
  const pki::KeyPair site_key = pki::KeyPair::generate();
  std::string request;
  if (options.tls) request = pki::make_certificate_request(site_key, site.plan.name.str());
  std::string url = (options.tls ? "https://" : "http://") + site.address();
  auto joined = co_await calls.join(site.plan, std::move(url), std::move(request));
  if (!joined) co_return std::move(joined).error();
  PERIGEE_CO_CHECK(write_private_file(own + "/site.key", joined->key + "\n"));
  if (!options.tls) co_return Result<>{};
  const control::MemberFiles files = control::member_files_in(own);
  PERIGEE_CO_CHECK(make_private_folder(own + "/tls"));
  PERIGEE_CO_CHECK(write_private_file(files.key, site_key.to_pem()));
  PERIGEE_CO_CHECK(write_private_file(files.certificate, joined->certificate));
  co_return write_private_file(files.authorities, joined->authorities);
}

Task<Result<>> DemoGrid::State::describe_grid() {
  std::ifstream key_file{control->folder() + "/operator.key"};
  std::string operator_key;
  if (!std::getline(key_file, operator_key)) {
    co_return control->failure("wrote no operator.key");
  }
  const std::string url = fmt::format("http://127.0.0.1:{}", control_port->port());
  ControlCalls calls{client, url, operator_key};
  const ModelId model{kDemoModel};
  const TenantId tenant{"demo"};
  const std::string file = fs::path{options.model_file}.filename().string();
  auto added = co_await calls.add_model(model, file);
  if (!added) co_return std::move(added).error();
  added = co_await calls.add_tenant(tenant);
  if (!added) co_return std::move(added).error();
  auto made = co_await calls.make_key(tenant);
  if (!made) co_return std::move(made).error();
  key = std::move(*made);
  for (SiteProcess& site : sites) {
    auto joined = co_await join(site, calls);
    if (!joined) co_return std::move(joined).error();
    if (site.plan.slots == 0) continue;
    auto placed = co_await calls.place(site.plan.name, model, site.plan.slots);
    if (!placed) co_return std::move(placed).error();
  }
  co_return Result<>{};
}

Task<Result<>> DemoGrid::State::wait_ready(DemoProcess& process, std::string url) {
  const Instant limit = clock.now() + kStartMax;
  for (;;) {
    if (co_await client.ready(url)) co_return Result<>{};
    if (auto error = why_give_up(process, limit)) co_return std::move(*error);
    co_await pause();
  }
}

Task<std::size_t> DemoGrid::State::usable_candidates(std::string url) {
  GridCall call;
  call.url = std::move(url);
  call.key = key;
  call.method = "POST";
  call.path = "/v1/route/explain";
  const json::array messages{json::object{{"role", "user"}, {"content", "ready?"}}};
  const json::object body{{"model", kDemoModel}, {"messages", messages}};
  call.body = json::serialize(body);
  auto explained = co_await client.call(std::move(call));
  co_return explained ? count_usable(*explained) : 0;
}

Task<Result<>> DemoGrid::State::wait_serving(SiteProcess& site, std::size_t candidates) {
  const Instant limit = clock.now() + kStartMax;
  const std::string url = site.url();
  for (;;) {
    if (co_await usable_candidates(url) >= candidates) co_return Result<>{};
    if (auto error = why_give_up(*site.process, limit)) co_return std::move(*error);
    co_await pause();
  }
}

DemoGrid::DemoGrid(Executor executor, const Clock& clock, DemoOptions options,
                   std::function<void(const std::string&)> tell)
    : state_(std::make_unique<State>(executor, clock, std::move(options), std::move(tell))) {}

DemoGrid::~DemoGrid() = default;

Task<Result<>> DemoGrid::start() {
  State& grid = *state_;
  PERIGEE_CO_CHECK(grid.prepare());
  grid.tell(fmt::format("starting control and {} sites", grid.sites.size()));
  PERIGEE_CO_CHECK(grid.spawn_control());
  const std::string control_url = fmt::format("http://127.0.0.1:{}", grid.control_port->port());
  auto ready = co_await grid.wait_ready(*grid.control, control_url);
  if (!ready) co_return std::move(ready).error();
  auto described = co_await grid.describe_grid();
  if (!described) co_return std::move(described).error();
  for (SiteProcess& site : grid.sites) {
    PERIGEE_CO_CHECK(grid.write_config(site));
    PERIGEE_CO_CHECK(grid.spawn_site(site));
  }
  for (SiteProcess& site : grid.sites) {
    const std::string url = site.url();
    ready = co_await grid.wait_ready(*site.process, url);
    if (!ready) co_return std::move(ready).error();
  }
  grid.tell("all sites are up; waiting until they know each other");
  const std::size_t expected = candidates_expected(grid.sites);
  for (SiteProcess& site : grid.sites) {
    ready = co_await grid.wait_serving(site, expected);
    if (!ready) co_return std::move(ready).error();
  }
  grid.ready = true;
  grid.notify();
  co_return Result<>{};
}

Task<> DemoGrid::stop() {
  State& grid = *state_;
  grid.stopping = true;
  const auto running = [&grid] {
    const bool any = std::ranges::any_of(
        grid.sites, [](const SiteProcess& s) { return s.process && s.process->running(); });
    return any || (grid.control && grid.control->running());
  };
  for (SiteProcess& site : grid.sites) {
    if (site.process) site.process->ask_to_end();
  }
  if (grid.control) grid.control->ask_to_end();
  const Instant limit = grid.clock.now() + kEndMax;
  while (running() && grid.clock.now() < limit) co_await grid.pause();
  for (SiteProcess& site : grid.sites) {
    if (site.process) site.process->kill();
  }
  if (grid.control) grid.control->kill();
  std::error_code ignored;
  const bool remove = (grid.ready || grid.cancelled) && !grid.options.keep_folder;
  if (remove) fs::remove_all(grid.folder, ignored);
}

void DemoGrid::cancel() { state_->cancelled = true; }

Result<> DemoGrid::kill(const SiteId& name) {
  SiteProcess* site = state_->find(name);
  if (site == nullptr) return state_->unknown(name);
  if (!site->process->running()) {
    return Error{Code::FailedPrecondition,
                 fmt::format("{} is down already; start it: perigee demo --start {}", name.str(),
                             name.str())};
  }
  site->process->kill();
  state_->notify();
  return {};
}

Task<Result<>> DemoGrid::end(SiteId name) {
  SiteProcess* site = state_->find(name);
  if (site == nullptr) co_return state_->unknown(name);
  if (!site->process->running()) {
    co_return Error{Code::FailedPrecondition, fmt::format("{} is down already", name.str())};
  }
  site->process->ask_to_end();
  const Instant limit = state_->clock.now() + kEndAskedMax;
  while (site->process->running() && state_->clock.now() < limit) co_await state_->pause();
  const bool ended = !site->process->running();
  site->process->kill();
  state_->notify();
  if (ended) co_return Result<>{};
  co_return Error{Code::DeadlineExceeded, fmt::format("{} did not end by itself", name.str())};
}

Result<> DemoGrid::kill_control() {
  if (!state_->control->running()) {
    return Error{Code::FailedPrecondition, "control is down already"};
  }
  state_->control->kill();
  return {};
}

Task<Result<>> DemoGrid::restart_control() {
  if (state_->control->running()) {
    co_return Error{Code::FailedPrecondition, "control runs already"};
  }
  PERIGEE_CO_CHECK(state_->spawn_control());
  const std::string url = fmt::format("http://127.0.0.1:{}", state_->control_port->port());
  co_return co_await state_->wait_ready(*state_->control, url);
}

Task<Result<>> DemoGrid::restart(SiteId name) {
  SiteProcess* site = state_->find(name);
  if (site == nullptr) co_return state_->unknown(name);
  if (site->process->running()) {
    co_return Error{Code::FailedPrecondition, fmt::format("{} runs already", name.str())};
  }
  PERIGEE_CO_CHECK(state_->spawn_site(*site));
  const std::string url = site->url();
  auto ready = co_await state_->wait_ready(*site->process, url);
  if (!ready) co_return std::move(ready).error();
  ready = co_await state_->wait_serving(*site, 1);
  state_->notify();
  co_return ready;
}

Relay& DemoGrid::relay() { return state_->relay; }
GridClient& DemoGrid::client() { return state_->client; }
const std::string& DemoGrid::key() const { return state_->key; }
const std::string& DemoGrid::folder() const { return state_->folder; }
int DemoGrid::control_pid() const { return state_->control ? state_->control->pid() : 0; }
void DemoGrid::watch(std::function<void()> changed) { state_->changed = std::move(changed); }

std::vector<DemoSiteView> DemoGrid::sites() const {
  std::vector<DemoSiteView> views;
  for (const SiteProcess& site : state_->sites) {
    views.push_back({&site.plan, site.url(), site.process ? site.process->pid() : 0});
  }
  return views;
}

Result<DemoSiteView> DemoGrid::site(const SiteId& name) const {
  const SiteProcess* site = state_->find(name);
  if (site == nullptr) return state_->unknown(name);
  return DemoSiteView{&site->plan, site->url(), site->process ? site->process->pid() : 0};
}

json::object DemoGrid::state() const {
  json::array sites;
  for (const SiteProcess& site : state_->sites) {
    sites.push_back(json::object{{"name", site.plan.name.str()},
                                 {"url", site.url()},
                                 {"tier", to_string(site.plan.tier)},
                                 {"city", site.plan.city},
                                 {"jurisdiction", site.plan.jurisdiction.str()},
                                 {"pid", site.process->pid()}});
  }
  const std::string authority = state_->options.tls ? state_->control_folder() + "/ca.pem" : "";
  return json::object{{"folder", state_->folder},
                      {"ca_file", authority},
                      {"control",
                       {{"url", fmt::format("http://127.0.0.1:{}", state_->control_port->port())},
                        {"operator_key_file", state_->control->folder() + "/operator.key"}}},
                      {"key", state_->key},
                      {"model", kDemoModel},
                      {"sites", std::move(sites)}};
}

}  // namespace perigee::demo
