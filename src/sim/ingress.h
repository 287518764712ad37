// Ingress: where requests are decided at one site: its policy, and what it knows of its candidates.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/in_flight.h"
#include "core/prefix_table.h"
#include "sim/event_queue.h"
#include "sim/policy.h"

namespace perigee::sim {

inline Instant instant(Nanos t) { return Instant{Duration{t}}; }

class Ingress {
 public:
  // `facts` are moved in; the policy may refer to them.
  Ingress(std::vector<CandidateFacts> facts, const PolicyTraits& traits,
          std::uint32_t prefix_blocks_max, std::uint32_t block_tokens, std::uint64_t seed);

  std::span<const CandidateFacts> facts() const { return facts_; }
  std::size_t local_count() const { return local_count_; }
  Policy& policy() { return *policy_; }
  void set_policy(std::unique_ptr<Policy> policy) { policy_ = std::move(policy); }

  // News of a candidate: its load as it was at `reported`.
  void hear(std::uint32_t candidate, const EngineLoad& load, bool healthy, Nanos reported,
            Nanos now);
  // Healthy or not, without news.
  void set_healthy(std::uint32_t candidate, bool healthy, Nanos now);

  // The views for one request, its law and hops respected.
  std::span<CandidateView> views(const RequestView& request, Nanos now);

  struct Ticket {
    AttemptTicket policy = 0;
    AttemptTicket own = 0;
  };
  Ticket started(std::uint32_t candidate, const RequestView& request, Nanos now);
  void first_token(const Ticket& ticket, std::uint32_t candidate, std::uint32_t prompt_tokens,
                   const EngineLoad* load, Nanos reported, Nanos now);
  void finished(const Ticket& ticket, std::uint32_t candidate, std::uint32_t prompt_tokens,
                bool had_first_token, const AttemptOutcome& outcome, const EngineLoad* load,
                Nanos reported, Nanos now);

  // Lazily read digests: per candidate, when the next one can have arrived.
  struct Track {
    Nanos due = 0;
    Nanos delay = 0;         // of a digest on its way
    std::int64_t tick = -1;  // the newest known
    Nanos heard = 0;         // when that was made
    bool healthy = true;
    bool known = false;
  };
  std::vector<Track> tracks;

 private:
  void match_prefixes(const RequestView& request, Nanos now);

  std::vector<CandidateFacts> facts_;
  PolicyTraits traits_;
  std::uint32_t block_tokens_;
  std::size_t local_count_ = 0;
  std::unique_ptr<Policy> policy_;
  std::vector<CandidateView> views_;
  std::vector<InFlightCounters> counters_;
  std::unique_ptr<InFlightTable> attempts_;
  std::unique_ptr<PrefixTable> prefixes_;
  std::vector<std::uint32_t> matched_;
};

}  // namespace perigee::sim
