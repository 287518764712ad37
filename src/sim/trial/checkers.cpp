// The checkers that look at the whole world: what must hold at every step, and at the end.
// (OneEnding and Tokens are held where clients hear something: world_clients.cpp.)
#include <algorithm>

#include "core/breaker.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
// So long after a fault everybody knows that it is over: the breaker of an ingress over that of the
// serving site over its engine, and a probe that waits for its answer between.
constexpr Nanos kKnown = 2 * kOpenMost.count() + 5 * kSecond;
constexpr Nanos kIdle = 5 * kSecond;  // with room for so long

}  // namespace

void World::find(Check check, const std::string& what) {
  log("FOUND {}: {}", to_string(check), what);
  if (result_.findings.size() >= kFindingsMax) return;
  result_.findings.push_back({check, static_cast<double>(now_) * 1e-9, what});
}

bool World::lawful(std::uint32_t tenant, std::uint32_t site) const {
  const auto& laws = tenant_laws_[tenant];
  return laws.empty() || std::ranges::find(laws, site_laws_[site]) != laws.end();
}

void World::check_law(std::uint32_t id) {
  const Attempt& a = attempts_[id];
  const std::uint32_t client = flights_[a.flight].client;
  if (lawful(clients_[client].arrival.tenant, a.to)) return;
  find(Check::Law, fmt::format("request {} of {} runs at {}", client,
                               tenants_[clients_[client].arrival.tenant].str(), name(a.to)));
}

void World::check_bounds(std::uint32_t s) {
  const Site& site = sites_[s];
  const auto within = [&](std::string_view what, std::uint64_t size, std::uint64_t most) {
    if (size <= most) return;
    find(Check::Bounds, fmt::format("{} of {}: {}, at most {}", what, name(s), size, most));
  };
  within("flights", site.flights, spec_.requests_max);
  within("ledger places", site.records.taken(), spec_.ledger_places);
  within("kept answers", site.answers.size(), spec_.answers_max);
  for (const Engine& engine : site.engines) {
    within("sequences", engine.tokens.running(), engine.tokens.profile().batch_max);
    const EngineProfile& profile = engine.tokens.profile();
    within("engine queue", engine.tokens.running() + engine.tokens.waiting(),
           profile.batch_max + profile.queue_max);
  }
  if (site.admission == nullptr) return;
  const AdmissionStats stats = site.admission->stats(at(now_));
  within("admission queue", stats.requests, spec_.admission.requests_max);
  if (stats.requests > 1) within("admission tokens", stats.tokens, spec_.admission.tokens_max);
  within("admitted", stats.running, spec_.admission.running_max);
}

// Nobody is refused, and nothing fails for want of a site, while a lawful one that has been sound
// for long enough has had nothing to do.
void World::check_refusal(const Flight& flight, Code code, std::string_view reason) {
  const Client& client = clients_[flight.client];
  const std::uint32_t tenant = client.arrival.tenant;
  if (code == Code::Cancelled || flight.route.deadline) return;
  const auto known_sound = [&](Nanos since) { return since != kNever && since + kKnown <= now_; };
  for (std::uint32_t s = 0; s < sites_.size(); ++s) {
    const Site& site = sites_[s];
    if (site.engines.empty() || !lawful(tenant, s)) continue;
    if (code == Code::DataResidency) {
      return find(Check::WorkConservation,
                  fmt::format("request {} is told that no law allows it; {}"
                              " may run it",
                              flight.client, name(s)));
    }
    const bool sound = known_sound(broken_.site_sound_since(s)) &&
                       known_sound(broken_.site_sound_since(flight.site)) &&
                       known_sound(broken_.link_sound_since(flight.site, s));
    std::uint32_t here = 0;
    std::uint32_t slots = 0;
    std::uint64_t prompts = 0;  // tokens of them to prefill
    for (const Engine& engine : site.engines) {
      const EngineLoad load = engine.tokens.load();
      here += engine.tokens.running() + engine.tokens.waiting();
      slots += load.slots;
      prompts += load.queued_tokens;
    }
    // One may be there, if its prompt is done and half of all slots stay free: fewer may run for
    // the pace of those who do.
    const bool room = here == 0 || (here == 1 && prompts == 0 && slots > 2);
    const bool idle = site.loaded + kIdle <= now_ && site.queued.empty() && room;
    if (!sound || !idle) continue;
    return find(
        Check::WorkConservation,
        fmt::format("request {} ({}, {} + {} tokens) is told '{}: {}' while {} is sound and "
                    "idle",
                    flight.client, to_string(flight.route.service_class), client.arrival.in_tokens,
                    flight.delivered, to_string(code), reason, name(s)));
  }
}

// All have gone, and all is mended: nothing may be left anywhere.
void World::check_end() {
  if (clients_open_ > 0) {
    for (std::uint32_t c = 0; c < clients_.size(); ++c) {
      if (clients_[c].end != RequestEnd::Open) continue;
      find(Check::Ends, fmt::format("request {} has not ended", c));
    }
    return;
  }
  for (std::uint32_t s = 0; s < sites_.size(); ++s) {
    const Site& site = sites_[s];
    const auto none = [&](std::string_view what, std::uint64_t count) {
      if (count > 0) find(Check::Ends, fmt::format("{} {} at {}", count, what, name(s)));
    };
    none("open flights", site.flights);
    none("open reservations", site.records.open());
    none("records not shipped", site.records.taken());
    for (std::uint32_t i = 0; i < site.candidates.size(); ++i) {
      none("attempts in its router's view", site.router->in_flight(i).requests);
    }
    for (const Engine& engine : site.engines) {
      none("sequences", engine.tokens.running() + engine.tokens.waiting());
    }
    if (site.admission == nullptr) continue;
    const AdmissionStats stats = site.admission->stats(at(now_));
    none("requests in its admission", stats.running + stats.requests);
    none("prompt tokens in its admission", stats.prefilling_tokens + stats.tokens);
  }
}

void World::check_records() {
  if (clients_open_ > 0) return;  // said already
  std::vector<std::vector<const TrialRecord*>> of(clients_.size());
  for (const auto& [id, record] : control_.records()) of[record.request].push_back(&record);
  for (std::uint32_t c = 0; c < clients_.size(); ++c) {
    const Client& client = clients_[c];
    const auto say = [&](const std::string& what) {
      find(Check::Records, fmt::format("request {}: {}", c, what));
    };
    if (of[c].size() > 1) say(fmt::format("{} records", of[c].size()));
    if (of[c].empty()) {
      if (client.total > 0) say(fmt::format("no record of {} tokens", client.total));
      continue;
    }
    const TrialRecord& record = *of[c].front();
    if (record.tokens > client.written) {
      say(fmt::format("{} tokens recorded, {} written", record.tokens, client.written));
    }
    const bool complete = client.end == RequestEnd::Completed && !client.crashed;
    if (complete &&
        (record.outcome != Outcome::Completed || record.tokens != client.arrival.out_tokens)) {
      say(fmt::format("complete with {} tokens, recorded as {} with {}", client.arrival.out_tokens,
                      to_string(record.outcome), record.tokens));
    }
  }
}

std::string_view to_string(Check check) {
  static constexpr std::array<std::string_view, kChecks> kNames{
      "one_ending", "tokens", "records", "law", "bounds", "ends", "work_conservation"};
  return kNames.at(static_cast<std::size_t>(check));
}

std::string_view to_string(Defect defect) {
  static constexpr std::array<std::string_view, kDefects> kNames{
      "none",          "ignores_law",    "bills_tries_apart", "repeats_token",
      "skips_token",   "loses_refusals", "keeps_slots",       "overfills_ledger",
      "loses_records", "refuses_idle",   "tries_forever",     "ends_twice"};
  return kNames.at(static_cast<std::size_t>(defect));
}

}  // namespace perigee::sim
