// What sites tell each other and control: digests and usage records.
#include <algorithm>

#include "base/assert.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kExchangeEvery = 1'000'000'000;  // docs/peer_protocol.md
constexpr Nanos kExchangeAgain = 200'000'000;    // after a failure
constexpr std::uint32_t kSuspectAfter = 2;
constexpr double kDigestBytes = 500;
constexpr Nanos kShipEvery = 1'000'000'000;
constexpr Nanos kShipWay = 20'000'000;  // there and back
// One acknowledgement in fifty is lost: shipping is at least once.
constexpr std::uint64_t kAcknowledgementsLost = 50;

}  // namespace

// The last one was not answered by now: a failure. Then the next one.
void World::exchange(std::uint32_t s, std::uint32_t p) {
  Site& site = sites_[s];
  const std::uint32_t key = s * 256 + p;
  if (broken_.down(s)) return events_.push(now_ + kExchangeEvery, kExchange, key, 0);
  Peer& peer = site.peers[p];
  const bool failed = peer.answered != peer.sent;
  peer.failures = failed ? peer.failures + 1 : 0;
  if (peer.failures >= kSuspectAfter && peer.healthy) {
    hit(Probe::PeerSuspected);
    log("{} suspects {}", name(s), name(peer.site));
    learn(site, peer, site.candidates[peer.candidate].load, false);
  }
  ++peer.sent;
  peer.load = load_of(site);
  peer.ready = ready(site);
  events_.push(now_ + way(s, peer.site, kDigestBytes), kDigest, key, peer.sent);
  events_.push(now_ + (failed ? kExchangeAgain + kExchangeEvery : kExchangeEvery), kExchange, key,
               0);
}

void World::on_digest(std::uint32_t s, std::uint32_t p, std::uint32_t number) {
  Peer& peer = sites_[s].peers[p];
  if (broken_.down(peer.site) || number != peer.sent) return;
  if (broken_.muted(s) || broken_.muted(peer.site)) return hit(Probe::DigestMuted);
  Site& other = sites_[peer.site];
  for (Peer& back : other.peers) {
    // News does not clear a suspicion: only a way there and back does.
    if (back.site == s) learn(other, back, peer.load, back.healthy && peer.ready);
  }
  peer.answer = load_of(other);
  peer.answer_ready = ready(other);
  events_.push(now_ + way(peer.site, s, kDigestBytes), kDigestAnswer, s * 256 + p, number);
}

void World::on_digest_answer(std::uint32_t s, std::uint32_t p, std::uint32_t number) {
  if (broken_.down(s)) return;
  Site& site = sites_[s];
  Peer& peer = site.peers[p];
  if (number != peer.sent) return;
  peer.answered = number;
  peer.failures = 0;
  learn(site, peer, peer.answer, peer.answer_ready);
}

void World::learn(Site& site, Peer& peer, const EngineLoad& load, bool healthy) {
  CandidateState& state = site.candidates[peer.candidate];
  peer.healthy = healthy;
  state.healthy = healthy;
  state.load = load;
  state.reported = at(now_) - state.rtt / 2;
  PERIGEE_ASSERT(site.router->update(state, at(now_)));
}

void World::look_at_own_engines(std::uint32_t s) {
  Site& site = sites_[s];
  if (site.engines.empty()) return;
  const AdmissionStats waiting = site.admission->stats(at(now_));
  const auto up = static_cast<std::uint32_t>(std::ranges::count(site.engines, true, &Engine::up));
  for (std::uint32_t e = 0; e < site.engines.size(); ++e) {
    CandidateState& state = site.candidates[e];
    state.load = site.engines[e].tokens.load();
    if (up > 0) {  // what waits before all engines will run on one of them
      state.load.queued_requests += (waiting.requests + up - 1) / up;
      state.load.queued_tokens += waiting.tokens / up;
    }
    state.reported = at(now_);
    if (state.healthy == site.engines[e].up) {
      site.router->report(e, state.load, state.reported);
      continue;
    }
    state.healthy = site.engines[e].up;
    PERIGEE_ASSERT(site.router->update(state, at(now_)));
  }
}

void World::ship(std::uint32_t s) {
  events_.push(now_ + kShipEvery, kShip, s, 0);
  if (broken_.down(s)) return;
  Site& site = sites_[s];
  std::vector<TrialRecord> batch = site.records.shipment(now_);
  if (batch.empty()) return;
  if (broken_.control_down() || broken_.island(s)) {
    hit(Probe::RecordWaited);
    if (planted(Defect::LosesRecords)) site.records.acknowledged(batch);
    return;
  }
  if (!site.shipped.empty()) hit(Probe::RecordShippedTwice);
  for (const TrialRecord& record : batch) {
    if (control_.merge(record) == RecordTable::Merge::Merged) hit(Probe::RecordMerged);
  }
  site.shipped = std::move(batch);
  if (chance().below(kAcknowledgementsLost) == 0) return;
  events_.push(now_ + kShipWay, kShipped, s, site.incarnation);
}

void World::on_shipped(std::uint32_t s) {
  if (broken_.control_down() || broken_.island(s)) return;  // lost on its way
  sites_[s].records.acknowledged(sites_[s].shipped);
  sites_[s].shipped.clear();
}

}  // namespace perigee::sim
