// PeerExchange: keeps a site's view of its neighbours. For each neighbour one loop posts this
// site's digest and reads the peer's, on one kept-alive connection: at least every interval, and at
// most every kExchangeGap when this site has changed. The round trip of an exchange is the link's
// RTT. A peer that does not answer becomes suspect, then gone: docs/peer_protocol.md.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/instant.h"
#include "core/router.h"
#include "directory/records.h"
#include "gateway/engine_table.h"
#include "net/http_client.h"
#include "peer/digest.h"
#include "peer/peer_address.h"

namespace perigee {

inline constexpr Duration kExchangeGap = milliseconds{100};

struct PeerOptions {
  SiteId self;
  std::string credential;  // of this site: "Bearer pgs_..."
  std::size_t neighbours_max = 8;
  Duration interval = seconds{1};
  PeerAddresses addresses = {};
  // What moving one MiB between here and there counts, in ms (CandidateState); 0 where not named.
  std::map<SiteId, double> backbone_ms_per_mib = {};
  std::shared_ptr<net::TlsClientSource> tls = nullptr;  // with this site's certificate
  int suspect_after = 2;                                // exchanges failed in a row
  int gone_after = 10;
};

enum class PeerState : std::uint8_t { Up, Suspect, Gone };
std::string_view to_string(PeerState state);

struct PeerStatus {
  SiteId site;
  PeerState state = PeerState::Gone;
  Duration rtt{};
  Instant heard{};              // the last digest; zero: never
  std::vector<ModelId> models;  // ready there
  Instant since{};              // of this state
  int failures = 0;             // exchanges failed in a row
  std::string fault;            // why the last one failed; empty: none did
};

// IO thread. Everything given must outlive it. Destroying it ends its loops.
class PeerExchange {
 public:
  struct Parts {
    Executor executor;
    const Clock& clock;
    Router& router;
    EngineTable& engines;
    // A remote site as an Engine: made by the composition root, which knows the adapter.
    std::function<std::shared_ptr<Engine>(const net::Endpoint&)> make_engine;
    std::function<Digest()> own_digest;  // with all filters
    std::function<void()> opened = {};   // a peer takes work of a model that did not
    std::function<void()> met = {};      // a peer answers that did not
    // A peer, or a model there, can't be reached any more: the router knows it as not healthy.
    std::function<void()> closed = {};
  };
  PeerExchange(Parts parts, PeerOptions options);
  ~PeerExchange();

  // Starts loops for new neighbours, ends those of former ones. Costs nothing when neither sites
  // nor placements changed since the last call.
  void follow(const DirectorySnapshot& directory);
  // This site's load or state has changed: tell the peers soon.
  void changed();
  // Every peer that is up has this site's newest state.
  bool all_told() const;
  // A peer's digest arrived at our /grid/v1/digest: fresher news of one we follow.
  void heard(const Digest& digest);
  // This site's digest for `to`, which holds so much of it.
  Digest digest_for(const SiteId& to, const std::optional<PrefixVersions>& held) const;
  std::vector<PeerStatus> status() const;

 private:
  struct Peer;
  Task<> loop(std::shared_ptr<Peer> peer);
  Task<Result<Digest>> exchange(Peer& peer, Instant& sent);
  void learn(Peer& peer, const Digest& digest, Instant when);
  void missed(Peer& peer, const Error& error);
  void publish(Peer& peer);
  void forget(Peer& peer);

  Parts parts_;
  PeerOptions options_;
  // What was followed last.
  SharedMap<SiteId, SiteRecord> sites_;
  SharedMap<PlacementId, PlacementRecord> placements_;
  net::HttpClient digest_client_;  // short limits: a silent peer is a suspect
  std::map<SiteId, std::shared_ptr<Peer>> peers_;
};

}  // namespace perigee
