#include "site/local_engines.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/secret.h"
#include "core/opening.h"
#include "engine/llama/batcher.h"
#include "net/vital_task.h"

namespace perigee {
namespace {

// Of `perigee engine`: it reads neither images nor tools.
constexpr Capabilities kProcessCapabilities = kGuidedOutput | kEmbeddings;
constexpr Duration kProbeInterval = seconds{2};
constexpr std::size_t kProbeBytesMax = std::size_t{4} * 1024 * 1024;

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

std::string bearer_from(const std::string& file) {
  if (file.empty()) return "";
  std::ifstream in{file};
  std::string key;
  if (!(in >> key)) log::error("can't read an engine's key file", {{"file", file}});
  return key.empty() ? "" : "Bearer " + key;
}

// A model's name as an engine's: lower case, without '/', ':' and '@'; told apart by a digest where
// that changed it.
std::string engine_name(const ModelId& model, std::uint32_t number) {
  constexpr std::size_t kStemMax = kNameBytesMax - 20;
  std::string name = model.str();
  std::ranges::transform(name, name.begin(), [](char c) {
    if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
    return c == '/' || c == ':' || c == '@' ? '_' : c;
  });
  name.resize(std::min(name.size(), kStemMax));
  if (name != model.str()) name += "." + to_hex(sha256(model.str())).substr(0, 8);
  return name + "-" + std::to_string(number);
}

void add(EngineLoad& sum, const EngineLoad& load) {
  sum.slots += load.slots;
  sum.slots_busy += load.slots_busy;
  sum.queued_requests += load.queued_requests;
  sum.queued_tokens += load.queued_tokens;
  sum.prefill_tokens_per_s += load.prefill_tokens_per_s;
  sum.kv_used = std::max(sum.kv_used, load.kv_used);
  sum.decode_ms = std::max(sum.decode_ms, load.decode_ms);
}

}  // namespace

net::ClientLimits probe_limits() {
  net::ClientLimits limits;
  limits.head_timeout = kSilentMax;
  limits.read_timeout = kSilentMax;
  return limits;
}

// An external engine, probed by asking for its models.
struct LocalEngines::External {
  External(Executor executor, ExternalEngine what, std::string key)
      : engine(std::move(what)), authorization(std::move(key)), timer(executor) {}

  ExternalEngine engine;
  std::string authorization;
  Timer timer;
  net::Abort abort;
  bool healthy = false;
  bool stopped = false;
  std::string last_fault;
};

LocalEngines::LocalEngines(Parts parts, const SiteConfig& config)
    : parts_(std::move(parts)), config_(config) {}

LocalEngines::~LocalEngines() {
  for (auto& [name, external] : externals_) {
    external->stopped = true;
    external->timer.cancel();
    external->abort.abort();
  }
  for (auto& [model, gate] : gates_) gate->close();
}

AdmissionGate& LocalEngines::gate(const ModelId& model) {
  std::shared_ptr<AdmissionGate>& gate = gates_[model];
  if (gate == nullptr) {
    GateOptions options;
    options.queue.requests_max = config_.queue_requests_max;
    options.queue.wait_max = config_.queue_wait_max;
    options.reserved_share = config_.reserved_share;
    options.power_share = config_.power_share;
    options.network_tenants = config_.network_tenants;
    gate = std::make_shared<AdmissionGate>(parts_.executor, parts_.clock, std::move(options),
                                           parts_.changed);
  }
  return *gate;
}

std::shared_ptr<Engine> LocalEngines::make_engine(const EngineId& name, const ModelId& model,
                                                  bool gated, HttpEngineOptions options) {
  std::shared_ptr<Engine> engine = std::make_shared<HttpEngine>(parts_.executor, parts_.clock,
                                                                parts_.client, std::move(options));
  if (gated) engine = gate(model).add(name, std::move(engine));
  return parts_.receipted(model, std::move(engine));
}

std::vector<EngineSpec> LocalEngines::wanted(const DirectorySnapshot& directory) const {
  std::vector<EngineSpec> specs;
  const auto& all = directory.placements;
  for (auto own = all.lower_bound({config_.name, ModelId{}});
       own != all.end() && own->first.first == config_.name; ++own) {
    const PlacementRecord& placement = own->second;
    const auto model = directory.models.find(placement.model);
    if (model == directory.models.end() || model->second.kind != ModelKind::Llama) continue;
    for (std::uint32_t i = 0; i < placement.engines; ++i) {
      const std::string name = engine_name(placement.model, i);
      EngineSpec spec;
      spec.name = EngineId{name};
      spec.model = placement.model;
      spec.model_path = (std::filesystem::path{config_.models_dir} / model->second.file).string();
      spec.model_sha256 = model->second.sha256;
      spec.model_public_key = config_.model_public_key;
      spec.socket_path = config_.state_dir + "/" + name + ".sock";
      spec.slots = std::min(placement.slots, llama::Batcher::kStreamsMax);
      spec.threads = placement.threads;
      spec.context_tokens = model->second.context_tokens;
      spec.gpu_layers = config_.gpu_layers;
      specs.push_back(std::move(spec));
    }
  }
  return specs;
}

// Two must agree on it, whoever asks: a directory that was changed, by mistake or not, does not
// move a site to another country.
JurisdictionId LocalEngines::own_law(const DirectorySnapshot& directory) {
  const auto self = directory.sites.find(config_.name);
  if (self == directory.sites.end()) return {};
  const JurisdictionId& said = self->second.jurisdiction;
  if (config_.jurisdiction.empty() || config_.jurisdiction == said) {
    disputed_ = {};
    return said;
  }
  if (std::exchange(disputed_, said) != said) {
    log::error(
        "the directory names another jurisdiction than this site's file: what is bound to a "
        "law does not run here until they agree",
        {{"directory", said.str()}, {"site.jurisdiction", config_.jurisdiction.str()}});
  }
  return {};
}

void LocalEngines::follow(const DirectorySnapshot& directory) {
  jurisdiction_ = own_law(directory);
  const std::vector<EngineSpec> specs = wanted(directory);
  for (auto it = processes_.begin(); it != processes_.end();) {
    const EngineSpec& running = it->second->spec();
    if (std::ranges::find(specs, running) != specs.end()) {
      publish(*it->second);
      ++it;
      continue;
    }
    log::info("engine stopped: no longer placed here", {{"engine", running.name.str()}});
    forget(running.name, running.model);
    it = processes_.erase(it);
  }
  for (const EngineSpec& spec : specs) {
    if (processes_.contains(spec.name)) continue;
    const EngineId name = spec.name;
    const EngineProcess::Parts parts{parts_.executor, parts_.clock, parts_.probe_client,
                                     parts_.program, [this, name] {
                                       const auto found = processes_.find(name);
                                       if (found == processes_.end()) return;
                                       publish(*found->second);
                                       parts_.changed();
                                     }};
    processes_.emplace(name, std::make_unique<EngineProcess>(parts, spec));
    publish(*processes_.at(name));
  }
  for (const ExternalEngine& engine : config_.engines) {
    if (externals_.contains(engine.name))
      publish(*externals_.at(engine.name));
    else
      start_external(engine);
  }
}

void LocalEngines::set_drained(bool drained) {
  drained_ = drained;
  for (const auto& [name, process] : processes_) publish(*process);
  for (const auto& [name, external] : externals_) publish(*external);
}

void LocalEngines::start_external(const ExternalEngine& engine) {
  auto external = std::make_shared<External>(parts_.executor, engine, bearer_from(engine.key_file));
  externals_.emplace(engine.name, external);
  publish(*external);
  asio::co_spawn(parts_.executor, probe(external), net::VitalTask{"probing an engine"});
}

// What does not change while it runs.
void LocalEngines::describe(CandidateState& state, Capabilities capabilities,
                            std::uint32_t context_tokens) const {
  state.capabilities = capabilities;
  state.context_tokens = context_tokens;
  state.reserved_share = config_.reserved_share;
  state.power_share = config_.power_share;
  const auto price = config_.prices.find(state.id.model);
  if (price != config_.prices.end()) state.price_micros_per_mtok = price->second;
}

void LocalEngines::publish(const EngineProcess& process) {
  const EngineSpec& spec = process.spec();
  CandidateState state;
  state.id = CandidateId{config_.name, spec.name, spec.model};
  state.jurisdiction = jurisdiction_;
  state.local = true;
  state.healthy = process.state() == EngineState::Ready;
  state.drained = drained_;
  state.load = process.load();
  if (state.load.slots == 0) state.load.slots = spec.slots;
  state.reported = process.load_as_of();
  describe(state, kProcessCapabilities, spec.context_tokens);
  const bool known = parts_.router.find(state.id).has_value();
  if (known) gate(spec.model).update(spec.name, state.healthy, state.load);
  if (known) gate(spec.model).add_share(state.load);
  const bool opened = opens(parts_.router, state);
  auto index = parts_.router.update(state, parts_.clock.now());
  if (!index) return;
  if (!known) {
    HttpEngineOptions options;
    options.endpoint = process.endpoint();
    parts_.engines.set(*index, make_engine(spec.name, spec.model, true, std::move(options)));
    gate(spec.model).update(spec.name, state.healthy, state.load);
  }
  if (opened && parts_.opened) parts_.opened();
}

void LocalEngines::publish(const External& external) {
  const ExternalEngine& engine = external.engine;
  CandidateState state;
  state.id = CandidateId{config_.name, engine.name, engine.model};
  state.jurisdiction = jurisdiction_;
  state.local = true;
  state.healthy = external.healthy;
  state.drained = drained_;
  state.load.slots = engine.slots;  // all else follows from own work in flight
  describe(state, engine.capabilities, engine.context_tokens);
  const bool gated = engine.slots > 0;
  const bool known = parts_.router.find(state.id).has_value();
  if (known && gated) gate(engine.model).update(engine.name, state.healthy, state.load);
  const bool opened = opens(parts_.router, state);
  const bool closed = closes(parts_.router, state);
  auto index = parts_.router.update(state, parts_.clock.now());
  if (!index) return;
  if (!known) {
    HttpEngineOptions options;
    options.endpoint = engine.url.endpoint;
    options.base_path = engine.url.base_path;
    options.authorization = external.authorization;
    options.upstream_model = engine.upstream_model;
    options.trusted = false;
    options.salts_cache = engine.cache_salt;
    options.resume_by_text = engine.resume_by_text;
    parts_.engines.set(*index, make_engine(engine.name, engine.model, gated, std::move(options)));
    if (gated) gate(engine.model).update(engine.name, state.healthy, state.load);
  }
  if (opened && parts_.opened) parts_.opened();
  if (closed && parts_.closed) parts_.closed();
}

void LocalEngines::forget(const EngineId& name, const ModelId& model) {
  const CandidateId id{config_.name, name, model};
  if (const auto index = parts_.router.find(id)) parts_.engines.remove(*index);
  parts_.router.remove(id);
  const auto gate = gates_.find(model);
  if (gate == gates_.end()) return;
  gate->second->remove(name);
  if (!gate->second->empty()) return;
  gate->second->close();
  gates_.erase(gate);
}

Task<> LocalEngines::probe(std::shared_ptr<External> external) {
  const std::string target = external->engine.url.base_path + "/models";
  while (!external->stopped) {
    const std::array<net::Header, 1> headers{net::Header{"authorization", external->authorization}};
    net::ClientRequest request;
    request.method = "GET";
    request.target = target;
    if (!external->authorization.empty()) request.headers = headers;
    auto response =
        co_await parts_.probe_client.send(external->engine.url.endpoint, request, &external->abort);
    if (external->stopped) co_return;
    std::string fault;
    if (!response) {
      fault = response.error().message;
    } else {
      auto body = co_await response->read_all(kProbeBytesMax);
      if (external->stopped) co_return;
      // 404: some servers have no model list; they live all the same.
      if (!body)
        fault = body.error().message;
      else if (response->status() >= 500)
        fault = "status " + std::to_string(response->status());
    }
    const bool healthy = fault.empty();
    if (!healthy) external->last_fault = fault;
    if (healthy != external->healthy) {
      external->healthy = healthy;
      if (healthy)
        log::info("engine reachable", {{"engine", external->engine.name.str()}});
      else
        log::error("engine unreachable",
                   {{"engine", external->engine.name.str()}, {"fault", fault}});
      publish(*external);
      parts_.changed();
    }
    external->timer.expires_after(kProbeInterval);
    co_await external->timer.async_wait(kAwait);
  }
}

std::vector<EngineStatus> LocalEngines::status() const {
  std::vector<EngineStatus> all;
  for (const auto& [name, process] : processes_) {
    all.push_back({name, process->spec().model, false, process->state(), process->restarts(),
                   process->last_fault(), process->pid(), process->load(), process->load_as_of()});
  }
  for (const auto& [name, external] : externals_) {
    EngineStatus status;
    status.name = name;
    status.model = external->engine.model;
    status.external = true;
    status.state = external->healthy ? EngineState::Ready : EngineState::Failed;
    status.last_fault = external->last_fault;
    status.load.slots = external->engine.slots;
    all.push_back(std::move(status));
  }
  return all;
}

// Of one engine, without what waits before it.
EngineLoad LocalEngines::load_of(const EngineId& name, const ModelId& model,
                                 EngineLoad told) const {
  const auto gate = gates_.find(model);
  if (told.slots > 0 && gate != gates_.end()) return gate->second->load_of(name);
  const auto index = parts_.router.find(CandidateId{config_.name, name, model});
  if (index) told.slots_busy = parts_.router.in_flight(*index).requests;  // what was sent from here
  return told;
}

// What some engine can do counts as what the site can: it chooses among its engines itself.
ModelDigest LocalEngines::digest_of(const ModelId& model) const {
  ModelDigest digest;
  digest.model = model;
  digest.engines = 0;
  digest.capabilities = 0;
  bool context_known = true;
  const auto add_engine = [&](const EngineId& name, EngineLoad told, Capabilities capabilities,
                              std::uint32_t context_tokens) {
    ++digest.engines;
    add(digest.load, load_of(name, model, told));
    digest.capabilities |= capabilities;
    context_known = context_known && context_tokens > 0;
    digest.context_tokens = std::max(digest.context_tokens, context_tokens);
  };
  for (const auto& [name, process] : processes_) {
    const EngineSpec& spec = process->spec();
    if (spec.model != model || process->state() != EngineState::Ready) continue;
    EngineLoad told = process->load();
    if (told.slots == 0) told.slots = spec.slots;
    add_engine(name, told, kProcessCapabilities, spec.context_tokens);
  }
  for (const auto& [name, external] : externals_) {
    const ExternalEngine& engine = external->engine;
    if (engine.model != model || !external->healthy) continue;
    EngineLoad told;
    told.slots = engine.slots;
    add_engine(name, told, engine.capabilities, engine.context_tokens);
  }
  digest.ready = digest.engines > 0;
  if (!digest.ready) return ModelDigest{.model = model};
  if (!context_known) digest.context_tokens = 0;
  const auto price = config_.prices.find(model);
  if (price != config_.prices.end()) digest.price_micros_per_mtok = price->second;
  if (const auto gate = gates_.find(model); gate != gates_.end()) {
    digest.load.queued_requests += gate->second->waiting();
    digest.load.queued_tokens += gate->second->waiting_tokens();
  }
  return digest;
}

std::vector<ModelDigest> LocalEngines::digest() const {
  std::set<ModelId> models;
  for (const auto& [name, process] : processes_) models.insert(process->spec().model);
  for (const auto& [name, external] : externals_) models.insert(external->engine.model);
  std::vector<ModelDigest> all;
  for (const ModelId& model : models) all.push_back(digest_of(model));
  return all;
}

std::optional<EngineLoad> LocalEngines::load(const ModelId& model) const {
  const ModelDigest digest = digest_of(model);
  if (!digest.ready) return std::nullopt;
  return digest.load;
}

std::vector<QueueStatus> LocalEngines::queues() const {
  std::vector<QueueStatus> all;
  for (const auto& [model, gate] : gates_) all.push_back({model, gate->stats()});
  return all;
}

std::size_t LocalEngines::running() const {
  std::size_t requests = 0;
  for (const EngineStatus& engine : status()) {
    const auto index = parts_.router.find(CandidateId{config_.name, engine.name, engine.model});
    if (index) requests += parts_.router.in_flight(*index).requests;
  }
  return requests;
}

bool LocalEngines::any_ready() const {
  return std::ranges::any_of(
      status(), [](const EngineStatus& engine) { return engine.state == EngineState::Ready; });
}

}  // namespace perigee
