#include "sim/trial/world.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "sim/sampler.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
// After the load and the last fault: longer than any breaker stays open, any client tries.
constexpr Nanos kDrain = 180 * kSecond;
constexpr std::uint64_t kEventsMax = 1'000'000;  // of one trial; the longest have some 100,000
// Then all messages have arrived, and all records are shipped.
constexpr Nanos kSettle = 10 * kSecond;

// All is mended when the load ends.
std::vector<SiteFault> schedule_of(const Scenario& scenario, std::uint64_t seed) {
  std::vector<SiteFault> faults = fault_schedule(scenario, seed);
  const Nanos end = nanos_from_s(scenario.duration_s);
  for (SiteFault& fault : faults) fault.end = std::min(fault.end, end);
  std::erase_if(faults, [](const SiteFault& fault) { return fault.start >= fault.end; });
  return faults;
}

}  // namespace

World::World(const TrialSpec& spec, std::uint64_t seed, const TrialOptions& options)
    : spec_(spec),
      options_(options),
      random_(mix64(seed ^ 0x7a1a1)),
      workload_(spec.scenario, seed),
      faults_(schedule_of(spec.scenario, seed)),
      broken_(static_cast<std::uint32_t>(spec.scenario.sites.size()), faults_),
      load_end_(nanos_from_s(spec.scenario.duration_s)) {
  result_.seed = seed;
  for (const SiteSpec& site : spec.scenario.sites) site_laws_.emplace_back(site.jurisdiction);
  for (const TenantSpec& tenant : spec.scenario.tenants) {
    auto& laws = tenant_laws_.emplace_back();
    for (const std::string& law : tenant.jurisdictions) laws.emplace_back(law);
    tenants_.emplace_back(tenant.name);
  }
  add_sites();
}

void World::add_sites() {
  const Scenario& scenario = spec_.scenario;
  const auto count = static_cast<std::uint32_t>(scenario.sites.size());
  std::vector<bool> serving(count);
  for (std::uint32_t s = 0; s < count; ++s) {
    first_engine_.push_back(static_cast<std::uint32_t>(engine_site_.size()));
    Site& site = sites_.emplace_back(spec_.ledger_places);
    for (const EngineGroup& group : scenario.sites[s].engines) {
      for (std::uint32_t i = 0; i < group.count; ++i) {
        site.engines.emplace_back(scenario.kinds[group.kind]);
        engine_site_.push_back(s);
      }
    }
    serving[s] = !site.engines.empty();
  }
  network_ = std::make_unique<Network>(scenario, serving, mix64(result_.seed ^ 0x11e7));
  const std::vector<bool> none(count);
  for (std::uint32_t s = 0; s < count; ++s) nearest_.push_back(network_->nearest(s, none));
  for (std::uint32_t s = 0; s < count; ++s) {
    start_site(s);
    const auto peers = static_cast<std::uint32_t>(sites_[s].peers.size());
    for (std::uint32_t p = 0; p < peers; ++p) {
      events_.push(static_cast<Nanos>(chance().below(kSecond)), kExchange, s * 256 + p, 0);
    }
    events_.push(static_cast<Nanos>(chance().below(kSecond)), kShip, s, 0);
  }
}

// All that a site keeps in memory, as it is when the process has just started.
void World::start_site(std::uint32_t s) {
  const Scenario& scenario = spec_.scenario;
  Site& site = sites_[s];
  RouterOptions options;
  options.seed = mix64(result_.seed ^ (s * 7919 + site.incarnation));
  options.attempts_max = scenario.attempts_max;
  options.prefix_block_tokens = scenario.prefix_block_tokens;
  options.prefix_blocks_max = 1'024;
  options.attempts_in_flight_max = 4'096;
  site.router = std::make_unique<Router>(options);
  site.candidates.clear();
  site.answers.clear();
  site.queued.clear();
  site.flights = 0;
  if (!site.engines.empty()) site.admission = std::make_unique<AdmissionQueue>(spec_.admission);
  const auto add = [&](CandidateState state) {
    const auto index = site.router->update(state, at(now_));
    PERIGEE_ASSERT(index && *index == site.candidates.size());
    site.candidates.push_back(std::move(state));
  };
  for (std::uint32_t e = 0; e < site.engines.size(); ++e) {
    CandidateState state;
    state.id = {.site = SiteId{name(s)}, .engine = EngineId{std::to_string(e)}, .model = model_};
    state.jurisdiction = site_laws_[s];
    state.local = true;
    state.healthy = site.engines[e].up;
    state.load = site.engines[e].tokens.load();
    state.reported = at(now_);
    add(std::move(state));
  }
  std::vector<Peer> peers;
  for (const Network::Neighbour& neighbour : network_->neighbours(s)) {
    CandidateState state;
    state.id = {.site = SiteId{name(neighbour.site)}, .engine = {}, .model = model_};
    state.jurisdiction = site_laws_[neighbour.site];
    state.healthy = now_ == 0;  // a site that comes back waits for the first exchange
    state.rtt = from_ms(static_cast<double>(neighbour.rtt_ms));
    state.engines = static_cast<std::uint32_t>(sites_[neighbour.site].engines.size());
    if (now_ == 0) state.load = load_of(sites_[neighbour.site]);
    state.reported = at(now_);
    Peer peer;
    peer.site = neighbour.site;
    peer.candidate = static_cast<CandidateIndex>(site.candidates.size());
    peer.healthy = state.healthy;
    const std::size_t old = peers.size();
    if (old < site.peers.size()) peer.sent = peer.answered = site.peers[old].sent + 1;
    peers.push_back(peer);
    add(std::move(state));
  }
  site.peers = std::move(peers);
}

// When what belongs to a stopped process, or is held by a cut, goes on; `then` when it may now.
// One fault may follow another without a gap: all that is held goes on at one time, in order.
Nanos World::held_until(const Event& event, Nanos then) const {
  const auto arrives = [&](std::uint32_t from, std::uint32_t to) {
    const Nanos cut = from == to ? 0 : broken_.cut_until(from, to, then);
    return std::max(cut, broken_.stopped_until(to, then));
  };
  Nanos until = 0;
  switch (event.kind()) {
    case kConnect: until = broken_.stopped_until(clients_[event.a].site, then); break;
    case kToServer:
    case kCancel: until = arrives(attempts_[event.a].from, attempts_[event.a].to); break;
    case kToken:
    case kEnd: until = arrives(attempts_[event.a].to, attempts_[event.a].from); break;
    case kIteration: {
      const std::uint32_t site = engine_site_[event.a];
      until = broken_.engine_stopped_until(site, event.a - first_engine_[site], then);
      break;
    }
    case kFlightTimer: until = broken_.stopped_until(flights_[event.a].site, then); break;
    case kExchange: until = broken_.stopped_until(event.a / 256, then); break;
    case kDigest:
      until = arrives(event.a / 256, sites_[event.a / 256].peers[event.a % 256].site);
      break;
    case kDigestAnswer:
      until = arrives(sites_[event.a / 256].peers[event.a % 256].site, event.a / 256);
      break;
    case kShip:
    case kShipped: until = broken_.stopped_until(event.a, then); break;
    default: break;
  }
  return until <= then ? then : held_until(event, until);
}

void World::dispatch(const Event& event) {
  if (broken_.active() > 0) {
    if (const Nanos until = held_until(event, now_); until > now_) {
      const bool message = event.kind() == kToken || event.kind() == kEnd ||
                           event.kind() == kToServer || event.kind() == kCancel;
      if (message) hit(Probe::MessageHeldByCut);
      if (event.kind() == kFlightTimer || event.kind() == kConnect) hit(Probe::SiteStopped);
      return events_.push(until, event.kind(), event.a, event.b);
    }
  }
  result_.digest =
      mix64(result_.digest ^ mix64(static_cast<std::uint64_t>(now_)) ^
            (std::uint64_t{event.kind()} << 60) ^ (std::uint64_t{event.a} << 28) ^ event.b);
  switch (event.kind()) {
    case kArrive: {
      const Arrival arrival = workload_.take(event.a);
      if (const Nanos next = workload_.next(event.a); next != kNever) {
        events_.push(next, kArrive, event.a, 0);
      }
      return arrive(arrival);
    }
    case kTurn: return arrive(workload_.take_turn(event.a, nearest_));
    case kConnect: return on_connect(event.a, event.b);
    case kToServer: return on_to_server(event.a);
    case kIteration: return on_iteration(event.a, event.b);
    case kToken: return on_token(event.a, event.b);
    case kEnd: return on_end(event.a, event.b);
    case kCancel: return withdraw(event.a);
    case kFlightTimer:
      if (flights_[event.a].timer == event.b) on_flight_timer(event.a);
      return;
    case kClientTimer:
      if (clients_[event.a].timer == event.b) on_client_timer(event.a);
      return;
    case kFault: return fault(event.a, event.b != 0);
    case kExchange: return exchange(event.a / 256, event.a % 256);
    case kDigest: return on_digest(event.a / 256, event.a % 256, event.b);
    case kDigestAnswer: return on_digest_answer(event.a / 256, event.a % 256, event.b);
    case kShip: return ship(event.a);
    case kShipped:
      if (sites_[event.a].incarnation == event.b) on_shipped(event.a);
      return;
    default: PERIGEE_ASSERT(false);
  }
}

void World::fault(std::uint32_t index, bool begins) {
  const SiteFault& fault = faults_[index];
  const bool alone = !fault.link && fault.site != SiteFault::kAll;
  log("{} {}{}{}", begins ? "breaks:" : "mended:", to_string(fault.kind),
      fault.site == SiteFault::kAll ? std::string{} : " " + name(fault.site),
      fault.link ? " - " + (fault.other == SiteFault::kAll ? "*" : name(fault.other))
                 : (fault.engine == SiteFault::kAll ? "" : "/" + std::to_string(fault.engine)));
  const bool was_down = alone && broken_.down(fault.site);
  begins ? broken_.start(fault, now_) : broken_.end(fault, now_);
  if (broken_.active() > 1) hit(Probe::DoubleFault);
  if (!alone) return;
  Site& site = sites_[fault.site];
  if (fault.kind == FaultKind::DiskFull && !broken_.disk_full(fault.site)) {
    site.records.disk_mended(now_);
  }
  if (fault.kind == FaultKind::Slow) {
    for (std::uint32_t e = 0; e < site.engines.size(); ++e) {
      if (site.engines[e].up && site.engines[e].tokens.busy()) time_iteration(fault.site, e);
    }
  }
  if (fault.kind != FaultKind::Kill) return;
  if (fault.engine == SiteFault::kAll) {
    if (begins && !was_down) return kill_site(fault.site);
    if (begins || broken_.down(fault.site)) return;
    for (std::uint32_t e = 0; e < site.engines.size(); ++e) {
      site.engines[e].up = !broken_.engine_down(fault.site, e);
    }
    start_site(fault.site);
    const auto wall = static_cast<std::int64_t>(static_cast<double>(now_) * 1e-3);
    for (std::uint32_t n = site.records.recover(now_, wall); n > 0; --n) {
      hit(Probe::SettledAtRestart);
    }
    return;
  }
  if (fault.engine >= site.engines.size()) return;
  if (begins) {
    kill_engine(fault.site, fault.engine);
  } else if (!broken_.engine_down(fault.site, fault.engine)) {
    site.engines[fault.engine].up = true;
    if (!broken_.down(fault.site)) look_at_own_engines(fault.site);
  }
}

void World::kill_site(std::uint32_t s) {
  Site& site = sites_[s];
  ++site.incarnation;
  site.records.crash(now_);
  for (Engine& engine : site.engines) {
    engine.up = false;
    ++engine.version;
    engine.tokens.fail();
  }
  site.queued.clear();
  for (std::uint32_t i = 0; i < attempts_.size(); ++i) {
    Attempt& a = attempts_[i];
    if (a.to == s && a.at_server && !a.ended) {  // its kernel resets the connection
      a.ended = true;
      if (!a.over && a.from != s) answer(i, kEnd, kFailed);
    }
    if (a.from == s && !a.over) {
      a.over = true;
      if (a.to != s && !a.ended) {
        events_.push(now_ + way(s, a.to, 0), kCancel, i, 0);
      }
    }
  }
  for (Flight& flight : flights_) {
    if (!flight.open || flight.site != s) continue;
    flight.open = false;
    if (flight.delivered > 0) hit(Probe::IngressDiedInStream);
    client_lost(flight.client, flight.connection);
  }
  for (Client& client : clients_) {
    if (client.site != s || client.end != RequestEnd::Completed) continue;
    if (now_ - client.ended <= kStoreTime || broken_.disk_full(s)) client.crashed = true;
  }
  site.shipped.clear();
  site.flights = 0;
  site.answers.clear();
}

void World::kill_engine(std::uint32_t s, std::uint32_t e) {
  Engine& engine = sites_[s].engines[e];
  if (!engine.up) return;
  engine.up = false;
  ++engine.version;
  const std::vector<std::uint32_t> attempts = engine.tokens.fail();
  if (!attempts.empty()) hit(Probe::EngineDied);
  look_at_own_engines(s);
  for (const std::uint32_t attempt : attempts) break_off(attempt, kFailed);
  if (sites_[s].admission != nullptr) release(s);
}

// An ingress may still wait for an engine whose client has gone without a word.
bool World::over() const {
  const auto waits = [](const Site& site) { return site.flights > 0; };
  return clients_open_ == 0 && now_ >= std::max(load_end_, last_end_) + kSettle &&
         std::ranges::none_of(sites_, waits);
}

TrialResult World::run() {
  for (std::uint32_t i = 0; i < workload_.sources(); ++i) {
    if (workload_.next(i) != kNever) events_.push(workload_.next(i), kArrive, i, 0);
  }
  for (std::uint32_t i = 0; i < faults_.size(); ++i) {
    events_.push(faults_[i].start, kFault, i, 1);
    events_.push(faults_[i].end, kFault, i, 0);
  }
  while (!events_.empty() && !over()) {
    const Event event = events_.pop();
    if (event.at > load_end_ + kDrain || ++result_.events > kEventsMax) {
      if (clients_open_ > 0) {
        find(Check::Ends, std::to_string(clients_open_) + " requests are still open");
      }
      break;
    }
    now_ = event.at;
    dispatch(event);
    if (result_.findings.size() >= kFindingsMax) break;
  }
  return finish();
}

TrialResult World::finish() {
  check_end();
  check_records();
  for (const Client& client : clients_) {
    ++result_.requests[static_cast<std::size_t>(client.end)];
    result_.tokens += client.delivered;
    result_.digest = mix64(result_.digest ^ (std::uint64_t{client.received} << 8) ^
                           static_cast<std::uint64_t>(client.end));
  }
  result_.virtual_s = static_cast<double>(now_) * 1e-9;
  return std::move(result_);
}

TrialResult run_trial(const TrialSpec& spec, std::uint64_t seed, const TrialOptions& options) {
  return World{spec, seed, options}.run();
}

}  // namespace perigee::sim
