// Probes: rare branches that a batch of trials must have hit. A batch that never resumed a stream
// proves nothing about resuming.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace perigee::sim {

enum class Probe : std::uint8_t {
  Forwarded,           // an attempt ran at another site
  RetriedBeforeToken,  // an attempt failed or was refused before its first token, another followed
  Resumed,             // a stream went on elsewhere
  ResumedTwice,        // ... more than once
  ResumedUnderLaw,     // ... of a request that not every site may run
  Waited,              // nobody could take a broken stream, somebody could later
  MovedFromSilence,    // an attempt was given up since nothing came
  HedgeSent,           // a second attempt beside the first
  HedgeWon,            // ... that was first
  BreakerOpened,
  BreakerProbed,    // an attempt through a half-open breaker
  RefusedRealtime,  // a request of this class was refused in the end
  RefusedInteractive,
  RefusedStandard,
  RefusedBatch,
  RefusedFull,  // by a site's admission
  RefusedTooLate,
  DroppedFromQueue,  // refused after it had waited
  RefusedByLaw,      // no site may run it
  MissedDeadline,
  DoubleFault,          // two faults at once
  IslandServed,         // a site cut from all others completed a request of its users
  IngressDiedInStream,  // a client's ingress died when it had tokens
  ClientCameBack,       // a client tried again at another ingress with the same key
  AnswerReplayed,       // a key whose answer was there already
  AnswerUnderWay,       // a key whose first request still ran
  ClientLeft,           // before the end
  SiteStopped,          // something waited at a stopped site
  EngineDied,           // with sequences in it
  MessageHeldByCut,
  PieceCorrupted,
  PeerSuspected,  // by silence
  DigestMuted,
  DiskFullRefused,     // no place in the ledger: the disk
  LedgerFullRefused,   // no place in the ledger: all taken
  SettledAtRestart,    // a place that a crash left open
  RecordWaited,        // a record could not be shipped: control down, or an island
  RecordShippedTwice,  // an acknowledgement was lost
  RecordMerged,        // two sites had one for the same request
  ClockJumped,         // a record was written by a wrong clock
};
inline constexpr std::size_t kProbes = 40;
std::string_view to_string(Probe probe);  // "resumed_twice"

class Probes {
 public:
  void hit(Probe probe) { ++counts_[static_cast<std::size_t>(probe)]; }
  std::uint64_t count(Probe probe) const { return counts_[static_cast<std::size_t>(probe)]; }
  void add(const Probes& other) {
    for (std::size_t i = 0; i < kProbes; ++i) counts_[i] += other.counts_[i];
  }

 private:
  std::array<std::uint64_t, kProbes> counts_{};
};

}  // namespace perigee::sim
