// Relay: wide-area links emulated in user space, for kernels without netem and users without root.
//
// For every ordered pair of sites it listens on a loopback port of its own. What site A sends to
// port (A, B) comes out at B as late as the link A-B makes it, and B's answers come back likewise
// (link_model.h). A connection behaves as it would over that distance:
//   connecting   costs a round trip before the first byte leaves;
//   a cut link   stalls what is under way and makes new connects hang, as lost packets do; cut in
//   one
//                direction only, answers (or requests) are lost, so connects hang too;
//   a dead site  resets the connection, one round trip later;
//   closing      half-closes and resets cross the link in order behind the data.
// One connection holds at most kPipeBytesMax in each direction; a full pipe stops reading.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "demo/link_model.h"
#include "net/endpoint.h"
#include "net/task.h"

namespace perigee::demo {

inline constexpr std::size_t kPipeBytesMax = std::size_t{1} * 1024 * 1024;

struct LinkName {
  SiteId from;
  SiteId to;
  friend auto operator<=>(const LinkName&, const LinkName&) = default;
};

struct LinkState {
  LinkName name;
  Duration delay{};  // one way, now
  bool cut = false;
};

// On one IO thread. Destroying it closes its listeners and connections.
class Relay {
 public:
  // `clock` must outlive the relay. `seed` decides all jitter.
  Relay(Executor executor, const Clock& clock, std::uint64_t seed);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Opens the way from `link.from` to `target`, where `link.to` listens, with one quality in both
  // directions of that pair (the first call for a pair decides it). Returns where `link.from` must
  // connect. ResourceExhausted when no port or descriptor is left.
  Result<net::Endpoint> open(const LinkName& link, const net::Endpoint& target,
                             const LinkQuality& quality);

  // One direction each; NotFound names the sites that have no such link.
  Result<> cut(const LinkName& link);
  Result<> heal(const LinkName& link);
  Result<> slow(const LinkName& link, Duration added);
  // `share` (0..1) of the pieces that pass have one bit flipped; zero ends it.
  Result<> corrupt(const LinkName& link, double share);
  void heal_all();                       // cuts, slow-downs, corruption
  std::vector<LinkState> links() const;  // ordered by name
  std::size_t connections() const;
  std::uint64_t damaged() const;  // pieces that had a bit flipped so far

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace perigee::demo
