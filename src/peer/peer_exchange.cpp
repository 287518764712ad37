#include "peer/peer_exchange.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>

#include "base/log.h"
#include "core/opening.h"
#include "engine/engine.h"
#include "net/vital_task.h"
#include "peer/neighbours.h"

namespace perigee {
namespace {

constexpr std::size_t kDigestBytesMax = std::size_t{1024} * 1024;
constexpr double kRttGain = 0.2;  // of a new sample in the smoothed round trip

net::ClientLimits digest_limits(Duration interval) {
  net::ClientLimits limits;
  limits.connect_timeout = interval;
  limits.head_timeout = interval;
  limits.read_timeout = interval;
  limits.idle_connections_max = 2;
  return limits;
}

// A lower sample is believed at once: nothing makes a link faster than it is. A higher one may be
// only a busy moment.
Duration smoothed(const std::optional<Duration>& rtt, Duration sample) {
  if (!rtt || sample < *rtt) return sample;
  return *rtt + std::chrono::duration_cast<Duration>(kRttGain * (sample - *rtt));
}

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

}  // namespace

std::string_view to_string(PeerState state) {
  switch (state) {
    case PeerState::Up: return "up";
    case PeerState::Suspect: return "suspect";
    case PeerState::Gone: return "gone";
  }
  return "";
}

struct PeerExchange::Peer {
  Peer(Executor executor, SiteRecord site_record, net::Endpoint where)
      : record(std::move(site_record)), endpoint(std::move(where)), timer(executor) {}

  SiteRecord record;
  net::Endpoint endpoint;
  Timer timer;
  net::Abort abort;
  std::shared_ptr<Engine> engine;
  bool stopped = false;  // the loop must touch nothing of PeerExchange any more
  bool dirty = false;    // our digest has changed since it was sent
  bool asking = false;   // an exchange is under way
  bool sleeping = false;
  PeerState state = PeerState::Gone;
  Instant since{};  // of the state
  int failures = 0;
  std::string fault;
  std::optional<Duration> rtt;
  Instant heard{};
  Instant load_as_of{};
  Digest digest;
  struct Held {
    std::uint64_t version = 0;
    std::shared_ptr<const PrefixFilter> filter;
  };
  std::map<ModelId, Held> held;  // its filters
  std::set<CandidateId> published;
};

PeerExchange::PeerExchange(Parts parts, PeerOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      digest_client_(parts_.executor, parts_.clock, digest_limits(2 * options_.interval),
                     options_.tls) {}

PeerExchange::~PeerExchange() {
  for (auto& [id, peer] : peers_) forget(*peer);
}

void PeerExchange::follow(const DirectorySnapshot& directory) {
  if (sites_.same_version(directory.sites) && placements_.same_version(directory.placements)) {
    return;
  }
  sites_ = directory.sites;
  placements_ = directory.placements;
  const std::vector<SiteId> chosen =
      choose_neighbours(directory, options_.self, options_.neighbours_max);
  const auto wanted = [&](const SiteId& id) {
    return std::ranges::find(chosen, id) != chosen.end();
  };
  for (auto it = peers_.begin(); it != peers_.end();) {
    const auto record = directory.sites.find(it->first);
    const bool keep = wanted(it->first) && record != directory.sites.end() &&
                      record->second.url == it->second->record.url;
    if (keep) {
      it->second->record = record->second;
      publish(*it->second);
      ++it;
    } else {
      forget(*it->second);
      it = peers_.erase(it);
    }
  }
  for (const SiteId& id : chosen) {
    if (peers_.contains(id)) continue;
    const SiteRecord& record = directory.sites.at(id);
    auto where = options_.addresses.of(id, record);
    if (!where) {
      log::warning("peer can't be called",
                   {{"peer", id.str()}, {"url", record.url}, {"error", where.error().message}});
      continue;
    }
    auto peer = std::make_shared<Peer>(parts_.executor, record, std::move(*where));
    peer->engine = parts_.make_engine(peer->endpoint);
    peer->since = parts_.clock.now();
    peers_.emplace(id, peer);
    asio::co_spawn(parts_.executor, loop(peer), net::VitalTask{"exchanging digests"});
  }
}

void PeerExchange::changed() {
  for (auto& [id, peer] : peers_) {
    peer->dirty = true;
    if (peer->sleeping) peer->timer.cancel();
  }
}

bool PeerExchange::all_told() const {
  return std::ranges::none_of(peers_, [](const auto& entry) {
    const Peer& peer = *entry.second;
    return peer.state == PeerState::Up && (peer.dirty || peer.asking);
  });
}

void PeerExchange::heard(const Digest& digest) {
  const auto found = peers_.find(digest.site);
  if (found == peers_.end()) return;
  Peer& peer = *found->second;
  // Only a way there and back proves the link, so a digest alone does not clear a suspect.
  if (peer.state == PeerState::Up) learn(peer, digest, parts_.clock.now() - *peer.rtt / 2);
}

std::vector<PeerStatus> PeerExchange::status() const {
  std::vector<PeerStatus> all;
  for (const auto& [id, peer] : peers_) {
    PeerStatus status{id,
                      peer->state,
                      peer->rtt.value_or(Duration{}),
                      peer->heard,
                      {},
                      peer->since,
                      peer->failures,
                      peer->fault};
    for (const ModelDigest& model : peer->digest.models) {
      if (model.ready) status.models.push_back(model.model);
    }
    all.push_back(std::move(status));
  }
  return all;
}

Task<> PeerExchange::loop(std::shared_ptr<Peer> peer) {
  while (!peer->stopped) {
    Instant sent{};
    peer->dirty = false;
    peer->asking = true;
    auto digest = co_await exchange(*peer, sent);
    peer->asking = false;
    if (peer->stopped) co_return;
    // A silent peer took its time already: it is asked as often as one that answers, so that it is
    // found again within an interval.
    Duration pause = std::max(kExchangeGap, options_.interval - (parts_.clock.now() - sent));
    if (digest) {
      const Instant now = parts_.clock.now();
      const Duration sample = now - sent;
      peer->rtt = smoothed(peer->rtt, sample);
      peer->failures = 0;
      peer->heard = now;
      if (peer->state != PeerState::Up) {
        log::info("peer is up", {{"peer", peer->record.id.str()}, {"rtt_ms", to_ms(*peer->rtt)}});
        peer->state = PeerState::Up;
        peer->since = now;
        if (parts_.met) parts_.met();
      }
      learn(*peer, *digest, sent + sample / 2);
    } else {
      missed(*peer, digest.error());
      if (peer->failures < options_.suspect_after) pause = std::min(pause, 2 * kExchangeGap);
    }
    peer->timer.expires_after(kExchangeGap);
    co_await peer->timer.async_wait(kAwait);
    if (peer->stopped) co_return;
    if (peer->dirty && peer->state == PeerState::Up) continue;
    peer->sleeping = true;
    peer->timer.expires_after(pause - kExchangeGap);
    co_await peer->timer.async_wait(kAwait);
    peer->sleeping = false;
  }
}

Task<Result<Digest>> PeerExchange::exchange(Peer& peer, Instant& sent) {
  const std::string body = digest_json(digest_for(peer.record.id, peer.digest.holds));
  const std::array<net::Header, 2> headers{net::Header{"content-type", "application/json"},
                                           net::Header{"authorization", options_.credential}};
  net::ClientRequest request;
  request.target = "/grid/v1/digest";
  request.headers = headers;
  request.body = body;
  sent = parts_.clock.now();
  auto response = co_await digest_client_.send(peer.endpoint, request, &peer.abort);
  if (!response) co_return std::move(response).error();
  auto text = co_await response->read_all(kDigestBytesMax);
  if (!text) co_return std::move(text).error();
  if (response->status() != 200) {
    co_return Error{Code::Unavailable, "status " + std::to_string(response->status())};
  }
  auto digest = parse_digest(*text);
  if (digest && digest->site != peer.record.id) {
    co_return Error{Code::Protocol, "another site answers there: " + digest->site.str()};
  }
  co_return digest;
}

Digest PeerExchange::digest_for(const SiteId& to, const std::optional<PrefixVersions>& held) const {
  Digest own = without_known_filters(parts_.own_digest(), held);
  own.holds.emplace();
  const auto peer = peers_.find(to);
  if (peer == peers_.end()) return own;
  for (const auto& [model, filter] : peer->second->held) own.holds->emplace(model, filter.version);
  return own;
}

void PeerExchange::learn(Peer& peer, const Digest& digest, Instant when) {
  peer.digest = digest;
  std::map<ModelId, Peer::Held> held;
  for (ModelDigest& model : peer.digest.models) {
    const auto known = peer.held.find(model.model);
    if (model.prefixes != nullptr) {
      held[model.model] = {model.prefix_version, std::move(model.prefixes)};
    } else if (model.prefix_version != 0 && known != peer.held.end()) {
      held.insert(*known);  // the newest that was told
    }
  }
  peer.held = std::move(held);
  peer.load_as_of = when;
  publish(peer);
}

void PeerExchange::missed(Peer& peer, const Error& error) {
  ++peer.failures;
  peer.fault = error.message;
  const PeerState before = peer.state;
  if (peer.failures >= options_.gone_after) {
    peer.state = PeerState::Gone;
  } else if (peer.failures >= options_.suspect_after && peer.state == PeerState::Up) {
    peer.state = PeerState::Suspect;
  }
  if (peer.state == before) return;
  peer.since = parts_.clock.now();
  log::warning(
      "peer does not answer",
      {{"peer", peer.record.id.str()}, {"state", to_string(peer.state)}, {"why", error.message}});
  publish(peer);
}

// Tells the router what is known of the peer's models.
void PeerExchange::publish(Peer& peer) {
  std::set<CandidateId> now_published;
  bool opened = false;
  bool closed = false;
  for (const ModelDigest& model : peer.digest.models) {
    CandidateState state;
    state.id = CandidateId{peer.record.id, EngineId{}, model.model};
    state.jurisdiction = peer.record.jurisdiction;
    state.healthy = peer.state == PeerState::Up && model.ready;
    state.drained = peer.digest.drained || peer.record.drained;
    state.rtt = peer.rtt.value_or(Duration{});
    state.load = model.load;
    state.engines = model.engines;
    state.reported = peer.load_as_of;
    state.capabilities = model.capabilities;
    state.context_tokens = model.context_tokens;
    state.price_micros_per_mtok = model.price_micros_per_mtok;
    state.reserved_share = peer.digest.reserved_share;
    state.power_share = peer.digest.power_share;
    const auto backbone = options_.backbone_ms_per_mib.find(peer.record.id);
    if (backbone != options_.backbone_ms_per_mib.end()) {
      state.backbone_ms_per_mib = backbone->second;
    }
    const auto held = peer.held.find(model.model);
    if (held != peer.held.end()) state.held = held->second.filter;
    opened = opens(parts_.router, state) || opened;
    closed = closes(parts_.router, state) || closed;
    auto index = parts_.router.update(state, parts_.clock.now());
    if (!index) continue;
    parts_.engines.set(*index, peer.engine);
    now_published.insert(state.id);
  }
  for (const CandidateId& id : peer.published) {
    if (now_published.contains(id)) continue;
    if (const auto index = parts_.router.find(id)) parts_.engines.remove(*index);
    parts_.router.remove(id);
  }
  peer.published = std::move(now_published);
  if (opened && parts_.opened) parts_.opened();
  if (closed && parts_.closed) parts_.closed();
}

void PeerExchange::forget(Peer& peer) {
  peer.stopped = true;
  peer.abort.abort();
  peer.timer.cancel();
  peer.digest.models.clear();
  publish(peer);
}

}  // namespace perigee
