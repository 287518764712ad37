#include "sim/simulator.h"

#include <algorithm>
#include <map>
#include <string>

#include "sim/sampler.h"

namespace perigee::sim {
namespace {

// All routers of a run together remember at most so many blocks.
constexpr std::uint64_t kPrefixBlocksOfRun = 16'000'000;
constexpr std::uint64_t kPrefixBlocksMost = 65'536;
constexpr std::uint64_t kPrefixBlocksLeast = 1'024;
constexpr std::uint32_t kDigestsKeptMost = 256;
constexpr int kProgressSteps = 200;
constexpr std::size_t kFaultsShownMax = 100;
constexpr std::array kFaultsAble{FaultKind::Kill, FaultKind::Cut, FaultKind::Mute};

}  // namespace

Simulator::Simulator(const Scenario& scenario, const PolicyEntry& policy, const RunOptions& options)
    : scenario_(scenario),
      policy_(policy),
      options_(options),
      workload_(scenario, options.seed),
      recorder_(scenario),
      duration_(nanos_from_s(scenario.duration_s)),
      faults_(fault_schedule(scenario, options.seed)),
      health_(scenario.sites.size()) {
  std::map<std::string, std::uint32_t> laws;
  for (const SiteSpec& site : scenario.sites) {
    if (!site.jurisdiction.empty()) laws.try_emplace(site.jurisdiction, laws.size());
  }
  for (const TenantSpec& tenant : scenario.tenants) {
    for (const std::string& law : tenant.jurisdictions) laws.try_emplace(law, laws.size());
  }
  laws_ = static_cast<std::uint32_t>(laws.size());
  for (const SiteSpec& site : scenario.sites) {
    site_law_.push_back(site.jurisdiction.empty() ? kNone : laws.at(site.jurisdiction));
  }
  for (const TenantSpec& tenant : scenario.tenants) {
    auto& numbers = tenant_laws_.emplace_back();
    for (const std::string& law : tenant.jurisdictions) numbers.push_back(laws.at(law));
    tenant_ids_.emplace_back(tenant.name);
  }
  add_sites();
  add_ingresses();
}

void Simulator::add_sites() {
  const auto count = static_cast<std::uint32_t>(scenario_.sites.size());
  const Nanos interval = nanos_from_ms(scenario_.digests.interval_ms);
  // Enough for the longest way of a digest, with jitter and a repeat.
  const double longest_ms = scenario_.digests.delay_ms + 4'000;
  const auto kept = static_cast<std::uint32_t>(
      std::min<double>(kDigestsKeptMost, longest_ms / scenario_.digests.interval_ms + 3));
  for (std::uint32_t s = 0; s < count; ++s) {
    const double phase = keyed_uniform(mix64(options_.seed) ^ (0xd16e57 + s));
    sites_.emplace_back(scenario_.prefix_block_tokens, interval,
                        static_cast<Nanos>(phase * static_cast<double>(interval)), kept);
  }
  std::vector<bool> serving(count);
  for (std::uint32_t s = 0; s < count; ++s) {
    const SiteSpec& spec = scenario_.sites[s];
    const double share = spec.power_share * (1 - spec.reserved_share);
    for (const EngineGroup& group : spec.engines) {
      const std::uint32_t site = policy_.traits.central ? scenario_.centre : s;
      EngineProfile profile = scenario_.kinds[group.kind];
      profile.batch_max =
          std::max(1U, static_cast<std::uint32_t>(profile.batch_max * share + 1e-9));
      for (std::uint32_t i = 0; i < group.count; ++i) sites_[site].add_engine(profile);
    }
  }
  for (std::uint32_t s = 0; s < count; ++s) {
    serving[s] = sites_[s].size() > 0;
    first_engine_.push_back(static_cast<std::uint32_t>(engines_.size()));
    sites_[s].engine_down.assign(sites_[s].size(), false);
    for (std::uint32_t i = 0; i < sites_[s].size(); ++i) {
      engines_.push_back({.site = s, .number = i});
    }
    if (!policy_.traits.admission || !serving[s]) continue;
    sites_[s].admission = std::make_unique<AdmissionQueue>(AdmissionOptions{});
  }
  network_ = std::make_unique<Network>(scenario_, serving, mix64(options_.seed ^ 0x11e7));
  const std::vector<bool> none(count);
  const bool moving = std::ranges::any_of(
      scenario_.workloads, [](const WorkloadSpec& w) { return w.moves_per_minute > 0; });
  if (!moving) return;
  for (std::uint32_t s = 0; s < count; ++s) nearest_.push_back(network_->nearest(s, none));
}

CandidateFacts Simulator::engine_facts(std::uint32_t site, std::uint32_t number) const {
  const EngineProfile& profile = sites_[site].engine(number).profile();
  CandidateFacts facts;
  facts.site = site;
  facts.engine = number;
  facts.local = true;
  facts.jurisdiction = site_law_[site];
  for (std::uint32_t k = 0; k < scenario_.kinds.size(); ++k) {
    if (scenario_.kinds[k].name == profile.name) facts.kind = k;
  }
  facts.slots = profile.batch_max;
  facts.kv_tokens = profile.kv_tokens;
  facts.prefill_tokens_per_s = prefill_tokens_per_s(profile);
  facts.prefill_base_ms = profile.prefill_base_ms;
  facts.decode_base_ms = profile.decode_base_ms;
  facts.decode_ms_per_sequence = profile.decode_ms_per_sequence;
  facts.price_per_hour = profile.price_per_hour;
  facts.overhead = from_ms(profile.overhead_ms);
  return facts;
}

CandidateFacts Simulator::peer_facts(std::uint32_t from,
                                     const Network::Neighbour& neighbour) const {
  CandidateFacts facts = engine_facts(neighbour.site, 0);
  facts.engine = kNone;
  facts.local = false;
  facts.rtt = from_ms(network_->rtt_ms(from, neighbour.site));
  facts.engines = static_cast<std::uint32_t>(sites_[neighbour.site].size());
  for (std::uint32_t i = 1; i < facts.engines; ++i) {
    const CandidateFacts more = engine_facts(neighbour.site, i);
    facts.slots += more.slots;
    facts.kv_tokens += more.kv_tokens;
    facts.prefill_tokens_per_s += more.prefill_tokens_per_s;
    facts.price_per_hour += more.price_per_hour;
  }
  return facts;
}

std::vector<CandidateFacts> Simulator::facts_of(std::uint32_t site) const {
  std::vector<CandidateFacts> facts;
  for (std::uint32_t i = 0; i < sites_[site].size(); ++i) facts.push_back(engine_facts(site, i));
  for (const Network::Neighbour& neighbour : network_->neighbours(site)) {
    facts.push_back(peer_facts(site, neighbour));
  }
  return facts;
}

void Simulator::add_ingresses() {
  const auto count = static_cast<std::uint32_t>(scenario_.sites.size());
  const auto prefix_blocks = static_cast<std::uint32_t>(
      std::clamp(kPrefixBlocksOfRun / count, kPrefixBlocksLeast, kPrefixBlocksMost));
  for (std::uint32_t s = 0; s < count; ++s) {
    const std::uint64_t seed = mix64(options_.seed ^ (0x9011c7 + std::uint64_t{s} * 7919));
    ingresses_.push_back(std::make_unique<Ingress>(facts_of(s), policy_.traits, prefix_blocks,
                                                   scenario_.prefix_block_tokens, seed));
    Ingress& ingress = *ingresses_.back();
    PolicyContext context;
    context.seed = seed;
    context.site = s;
    context.candidates = ingress.facts();
    context.prefix_block_tokens = scenario_.prefix_block_tokens;
    context.prefix_blocks_max = prefix_blocks;
    context.jurisdictions = laws_;
    context.shared = &shared_;
    context.prefixes_matter = workload_.has_blocks();
    ingress.set_policy(policy_.make(context));
    for (std::size_t i = ingress.local_count(); i < ingress.tracks.size(); ++i) {
      const ServingSite& peer = sites_[ingress.facts()[i].site];
      Ingress::Track& track = ingress.tracks[i];
      track.delay = nanos_from_ms(to_ms(ingress.facts()[i].rtt) / 2 + scenario_.digests.delay_ms);
      track.due = peer.digest_time(0) + track.delay;
    }
  }
}

std::uint32_t Simulator::new_request() {
  ++under_way_;
  if (free_requests_.empty()) {
    requests_.emplace_back();
    return static_cast<std::uint32_t>(requests_.size() - 1);
  }
  const std::uint32_t request = free_requests_.back();
  free_requests_.pop_back();
  requests_[request] = Request{};
  return request;
}

void Simulator::dispatch(const Event& event) {
  const auto current = [&] { return requests_[event.a].attempt == event.b; };
  switch (event.kind()) {
    case kArrive: {
      const Arrival arrival = workload_.take(event.a);
      if (const Nanos next = workload_.next(event.a); next != kNever) {
        events_.push(next, kArrive, event.a, 0);
      }
      arrive(arrival);
      break;
    }
    case kTurn: arrive(workload_.take_turn(event.a, nearest_)); break;
    case kDeliver:
      if (current()) deliver(event.a);
      break;
    case kBoundary:
      if (engines_[event.a].version == event.b) boundary(event.a);
      break;
    case kFirstToken:
      if (current()) on_first_token(event.a);
      break;
    case kFinished:
      if (current()) on_finished(event.a);
      break;
    case kRefused:
      if (current()) on_unserved(event.a, AttemptOutcome::Kind::Refused);
      break;
    case kBroken:
      if (current()) on_unserved(event.a, AttemptOutcome::Kind::Failed);
      break;
    case kFault: event.b != 0 ? start_fault(faults_[event.a]) : end_fault(faults_[event.a]); break;
    case kSample: sample(); break;
    default: PERIGEE_ASSERT(false);
  }
}

void Simulator::sample() {
  double queued = 0;
  Nanos busy = 0;
  for (const ServingSite& site : sites_) {
    for (std::size_t i = 0; i < site.size(); ++i) {
      queued += site.engine(i).waiting();
      busy += site.engine(i).busy_until(now_);
    }
    queued += static_cast<double>(site.pool.size());
    if (site.admission != nullptr) queued += site.admission->stats(instant(now_)).requests;
  }
  recorder_.sample(now_, queued, busy);
  if (now_ < duration_) {
    events_.push(std::min(now_ + recorder_.step(), duration_), kSample, 0, 0);
  }
  if (now_ >= duration_ && busy_at_end_.empty()) {
    for (const ServingSite& site : sites_) {
      Nanos all = 0;
      for (std::size_t i = 0; i < site.size(); ++i) all += site.engine(i).busy_until(now_);
      busy_at_end_.push_back(all);
    }
  }
}

bool Simulator::done() const {
  if (events_.empty()) return true;
  if (now_ < duration_) return false;
  return under_way_ == 0 || events_.top().at > duration_ + nanos_from_s(scenario_.drain_s);
}

PolicyResult Simulator::run() {
  const Instant begun = options_.clock != nullptr ? options_.clock->now() : Instant{};
  for (std::uint32_t i = 0; i < workload_.sources(); ++i) {
    if (workload_.next(i) != kNever) events_.push(workload_.next(i), kArrive, i, 0);
  }
  for (std::uint32_t i = 0; i < faults_.size(); ++i) {
    events_.push(faults_[i].start, kFault, i, 1);
    if (faults_[i].end != kNever) events_.push(faults_[i].end, kFault, i, 0);
  }
  events_.push(recorder_.step(), kSample, 0, 0);
  while (!done()) {
    const Event event = events_.pop();
    now_ = event.at;
    dispatch(event);
    if (now_ >= next_progress_ && options_.progress) {
      options_.progress(policy_.name,
                        std::min(1.0, static_cast<double>(now_) / static_cast<double>(duration_)));
      next_progress_ = now_ + duration_ / kProgressSteps;
    }
  }
  PolicyResult result = finish();
  if (options_.clock != nullptr) {
    result.wall_s = to_seconds(options_.clock->now() - begun);
    const double spent = to_seconds(deciding_);
    if (spent > 0) result.decisions_per_s = static_cast<double>(decisions_) / spent;
  }
  return result;
}

PolicyResult Simulator::finish() {
  for (std::uint32_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i].attempt != 0) close(i, Ending::Unfinished);
  }
  std::vector<Recorder::SiteTotals> totals(sites_.size());
  double price = 0;
  for (std::size_t s = 0; s < sites_.size(); ++s) {
    totals[s].engines = static_cast<std::uint32_t>(sites_[s].size());
    for (std::size_t i = 0; i < sites_[s].size(); ++i) {
      const EngineModel& engine = sites_[s].engine(i);
      totals[s].preemptions += engine.preemptions();
      price += engine.profile().price_per_hour;
      if (busy_at_end_.empty()) totals[s].busy += engine.busy_until(now_);
    }
    if (!busy_at_end_.empty()) totals[s].busy = busy_at_end_[s];
  }
  PolicyResult result = recorder_.result(totals, backbone_bytes_, price);
  result.policy = policy_.name;
  return result;
}

Result<> check_comparable(const Scenario& scenario) {
  return check_kinds(scenario.faults, kFaultsAble, "a comparison of policies");
}

PolicyResult simulate(const Scenario& scenario, const PolicyEntry& policy,
                      const RunOptions& options) {
  return Simulator{scenario, policy, options}.run();
}

Result<RunResult> simulate_all(const Scenario& scenario, const std::vector<std::string>& names,
                               const RunOptions& options) {
  std::vector<const PolicyEntry*> chosen;
  const std::vector<std::string>& wanted = names.empty() ? scenario.policies : names;
  for (const std::string& name : wanted) {
    const PolicyEntry* entry = find_policy(name);
    if (entry == nullptr) {
      std::string all;
      for (const PolicyEntry& known : policies()) {
        all += (all.empty() ? "" : ", ") + std::string{known.name};
      }
      return Error{Code::NotFound, "no policy is called '" + name + "'; there are: " + all};
    }
    chosen.push_back(entry);
  }
  PERIGEE_CHECK(check_comparable(scenario));
  if (chosen.empty()) {
    for (const PolicyEntry& known : policies()) chosen.push_back(&known);
  }
  RunResult run;
  run.scenario = scenario.name;
  run.title = scenario.title;
  run.seed = options.seed;
  run.duration_s = scenario.duration_s;
  for (const SiteSpec& site : scenario.sites) {
    std::uint32_t engines = 0;
    for (const EngineGroup& group : site.engines) engines += group.count;
    run.sites.push_back({site.name, site.latitude, site.longitude, engines});
  }
  for (const Fault& fault : fault_timeline(scenario.faults, options.seed)) {
    if (run.faults.size() == kFaultsShownMax) break;
    run.faults.push_back({describe(fault), fault.at_s, std::min(fault.end_s, scenario.duration_s)});
  }
  for (const PolicyEntry* entry : chosen) {
    run.policies.push_back(simulate(scenario, *entry, options));
    run.digest = mix64(run.digest ^ run.policies.back().digest);
  }
  return run;
}

}  // namespace perigee::sim
