// Router: decides where a request runs. Pure: no IO, no clock, no threads; the daemon and the
// simulator share it. Time comes in as an Instant, chance from a seeded Random, so that the same
// calls give the same plans. Nothing throws; every table is bounded and nothing grows per request.
//
// For each candidate i, all terms in milliseconds (docs/routing.md has the reasons and sources):
//   ttft_i   = rtt_i + overhead_i + wait_i + slot_i + prefill_i
//     wait_i    = (queued tokens reported + own tokens sent since that report) / rate_i / engines_i
//     slot_i    = time until a slot frees, when all are taken
//     prefill_i = (prompt tokens - expected cache hit) / rate_i
//   finish_i = ttft_i + expected output tokens * tpot_i
//   score_i  = ttft_i + barrier_i (its KV cache fills) + excess_i (decode slower than the class
//   wants) + price_i + backbone_i (what it costs, in the milliseconds that it is worth)
// Filters (law, capability, context, attestation, price ceiling, one hop, drain, health, capacity,
// breaker) come first and are never relaxed.
//
// One router belongs to one thread. Order of calls: update() as reports come; per request plan(),
// then for each attempt made started(), first_token(), finished().
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/error.h"
#include "base/id.h"
#include "base/instant.h"
#include "base/result.h"
#include "core/attributes.h"
#include "core/inference.h"
#include "core/prefix_filter.h"

namespace perigee {

// A (site, engine) that may serve a model, by a handle that is never given to another candidate
// while anybody may still hold it: a handle kept across a removal finds nothing.
using CandidateIndex = std::uint32_t;

// `engine` is empty for a peer site, which chooses among its engines itself.
struct CandidateId {
  SiteId site;
  EngineId engine;
  ModelId model;
  friend auto operator<=>(const CandidateId&, const CandidateId&) = default;
};

// What is known of a candidate; replaced as a whole on each report. `load.slots == 0` means
// unknown load (an external engine): only own in-flight work counts then.
struct CandidateState {
  CandidateId id;
  JurisdictionId jurisdiction;
  bool local = false;    // an engine of this site
  bool healthy = false;  // reachable and ready
  bool drained = false;  // takes no new work
  Duration rtt{};        // smoothed round trip; 0 for local
  EngineLoad load;
  std::uint32_t engines = 1;  // that `load` is summed over: a prompt runs on one, a queue on all
  Instant reported{};         // when `load` was true, on this site's time line

  Capabilities capabilities = kEverything;
  std::uint32_t context_tokens = 0;  // longest prompt; 0: not known, taken as any
  Attestation attestation = Attestation::None;
  std::int64_t price_micros_per_mtok = 0;  // of a million tokens, in and out; 0: free
  // What moving one MiB between here and there counts, in ms: at least its time on the link; more
  // where the operator wants the backbone spared. 0 for local.
  double backbone_ms_per_mib = 0;
  double reserved_share = 0;  // 0..1 of the slots kept for the network's own work
  double power_share = 1;     // 0..1 of the slots that the site's power allows
  // What its engines hold, from its digest; null: not known. Asked beside what was sent from here.
  std::shared_ptr<const PrefixFilter> held;
};

// A request as far as routing cares.
struct RouteRequest {
  ModelId model;
  TenantId tenant;
  ServiceClass service_class = ServiceClass::Standard;
  std::uint32_t prompt_tokens = 0;      // estimate
  std::uint32_t output_tokens = 0;      // expected of one answer; 0: as this model's usually are
  std::uint32_t output_tokens_max = 0;  // of one answer, the client's limit; 0: none
  std::uint32_t choices = 1;            // answers that are written at once (n)
  std::vector<std::uint64_t> prefix_blocks;   // chained block hashes, salted by tenant
  std::vector<JurisdictionId> jurisdictions;  // allowed; empty: any
  std::optional<Instant> deadline;            // finish by then
  std::uint64_t session = 0;                  // hash of the session key, salted by tenant; 0: none
  bool local_only = false;                    // forwarded by a peer: never forward again
  std::vector<CandidateIndex> tried;          // these failed this very request: not again
  Capabilities needs = 0;
  Attestation attestation = Attestation::None;  // at least
  std::optional<std::int64_t> price_ceiling;    // micro-units per million tokens
  // What a whole unit of money is worth to the tenant, in ms of waiting: 0: price does not matter.
  // E.g. 100,000: waits 1 s to save 0.01.
  double price_sensitivity_ms = 0;
  std::uint64_t bytes = 0;  // both ways over a backbone; 0: estimated from the tokens
};

// Why a candidate was not considered, in the order in which the filters are asked.
enum class Rejection : std::uint8_t {
  None,
  Model,         // it does not serve the model (never planned, never listed)
  Jurisdiction,  // the request may not run under its law
  Capability,    // its engines lack something that the request needs
  Context,       // the prompt is longer than its engines take
  Attestation,   // it proves less than the request demands
  Price,         // above the request's ceiling
  Forwarded,     // the request was forwarded to this site and may not be forwarded again
  Tried,         // it failed this very request before
  Drained,
  Unhealthy,
  Capacity,  // no slot is left by its power and the network's own work
  Breaker    // it failed; not before the breaker's time is over
};
std::string_view to_string(Rejection rejection);  // "jurisdiction"

enum class BreakerState : std::uint8_t { Closed, Open, HalfOpen };
std::string_view to_string(BreakerState state);  // "half_open"

// Every term of one candidate's prediction, for people and programs. Times are predictions from
// plan() on; ttft_ms is the sum of the five terms above it.
struct Prediction {
  CandidateIndex candidate = 0;
  Rejection rejection = Rejection::None;
  BreakerState breaker = BreakerState::Closed;
  bool refusing = false;  // it refused for load a moment ago: last resort
  double rtt_ms = 0;
  double overhead_ms = 0;  // learned: what an empty request costs there
  double wait_ms = 0;      // prompt tokens ahead of this one
  double slot_ms = 0;      // until a slot frees
  double prefill_ms = 0;
  double ttft_ms = 0;
  double uncertainty_ms = 0;  // one standard deviation of what was learned, in ttft_ms
  double tpot_ms = 0;
  double finish_ms = 0;
  double barrier_ms = 0;             // as its KV cache fills
  double excess_ms = 0;              // decode time beyond the class's pace
  double price_ms = 0;               // what it charges, at the tenant's price of time
  double backbone_ms = 0;            // what the bytes between here and there count
  double score_ms = 0;               // ttft + barrier + excess + price + backbone: what is compared
  std::uint32_t cached_tokens = 0;   // expected cache hit
  std::uint64_t queued_tokens = 0;   // reported + own in flight
  double rate_tokens_per_s = 0;      // learned prefill rate of one engine
  std::int64_t price_micros = 0;     // expected charge
  std::uint64_t backbone_bytes = 0;  // expected between here and there; 0 for local
  std::uint32_t slots_usable = 0;    // by power and reserve; 0: not known
};

struct PlannedAttempt {
  CandidateIndex candidate = 0;
  Prediction prediction;
  std::string_view reason;  // static text, see docs/routing.md: "nearest", "warm_cache", ...
};

// The attempts of a plan: a few, in place, so that planning allocates nothing.
class AttemptList {
 public:
  static constexpr std::size_t kMax = 8;
  void push_back(const PlannedAttempt& attempt) {
    PERIGEE_ASSERT(size_ < kMax);
    attempts_[size_++] = attempt;
  }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  const PlannedAttempt& operator[](std::size_t i) const {
    PERIGEE_ASSERT(i < size_);
    return attempts_[i];
  }
  const PlannedAttempt& front() const { return (*this)[0]; }
  const PlannedAttempt* begin() const { return attempts_.data(); }
  const PlannedAttempt* end() const { return attempts_.data() + size_; }

 private:
  std::array<PlannedAttempt, kMax> attempts_{};
  std::size_t size_ = 0;
};

struct RoutePlan {
  AttemptList attempts;  // best first, never empty; from the second on of other sites if there are
  // Start the second attempt too when the first has shown no token by then, and keep whichever
  // answers first. None: it would not pay.
  std::optional<Duration> hedge_after;
};

// A plan with all candidates, the rejected too: for `route explain`.
struct RouteExplanation {
  AttemptList attempts;                // as plan() would order them now; empty when it would fail
  std::vector<Prediction> candidates;  // every candidate of the model, best first, then rejected
  std::optional<Duration> hedge_after;
};

// How an attempt went. Times count from started().
struct AttemptOutcome {
  enum class Kind : std::uint8_t {
    Served,
    Refused,   // for load (429): a fact about load, not a fault
    Failed,    // connection, timeout, 5xx, broken protocol: counts towards the breaker
    Abandoned  // the client left, or the request was at fault (400): says nothing bad of the
               // candidate
  } kind = Kind::Served;
  std::optional<Duration> first_token = {};
  std::optional<Duration> finished = {};  // when it ended, however it ended
  Usage usage = {};                       // zero where not known
};

// One attempt under way. 0: not counted (the table of attempts is full, or the candidate is gone);
// valid in every call, and does nothing.
using AttemptTicket = std::uint64_t;

// Own work at a candidate, for status pages and tests.
struct InFlight {
  std::uint32_t requests = 0;       // started, not finished
  std::uint64_t unseen_tokens = 0;  // prompt tokens sent that no report covers yet
  std::uint32_t unseen_requests = 0;
};

struct RouterOptions {
  std::uint64_t seed = 1;
  std::uint32_t attempts_max = 3;  // 1..AttemptList::kMax
  std::uint32_t candidates_max = 65'536;
  std::uint32_t attempts_in_flight_max = 65'536;
  std::uint32_t prefix_blocks_max = 65'536;  // remembered, least recently used go first
  std::uint32_t prefix_block_tokens = 64;    // tokens in one block of RouteRequest::prefix_blocks
};

class Router {
 public:
  explicit Router(RouterOptions options);
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // The view. update() adds or replaces; own in-flight work and what was learned survive it. A load
  // older than the one known is ignored, the rest of the state is taken. ResourceExhausted when
  // candidates_max others are known.
  Result<CandidateIndex> update(const CandidateState& state, Instant now);
  // The same for news of the load alone; nothing happens when the candidate is unknown.
  void report(CandidateIndex index, const EngineLoad& load, Instant reported);
  // Forgets a candidate; attempts under way there may still be finished.
  void remove(const CandidateId& id);
  // The blocks sent to local candidates of the model, the newest `blocks_max` of them: what this
  // site's engines hold, for its digest. Allocates; not for the path of a request.
  PrefixFilter held_prefixes(const ModelId& model, std::uint32_t blocks_max, Instant now) const;
  // Null when no such candidate is known (any more). Valid until the next update() or remove().
  const CandidateState* candidate(CandidateIndex index) const;
  std::optional<CandidateIndex> find(const CandidateId& id) const;
  InFlight in_flight(CandidateIndex index) const;                 // zeros when unknown
  BreakerState breaker(CandidateIndex index, Instant now) const;  // Closed when unknown

  // NotFound: no candidate has the model. DataResidency: the law excludes every candidate.
  // InvalidArgument (param names what), PayloadTooLarge, FailedPrecondition: all that the law
  // allows lack a capability, take no such prompt, prove too little or cost too much.
  // DeadlineExceeded: the deadline is past. Unavailable: some are lawful, none can take it now; the
  // message counts what was excluded and why, `retry_after_ms` says when a breaker may let one in.
  // ResourceExhausted: the same of what was forwarded, where a drain or a breaker keeps it from
  // engines that are here.
  Result<RoutePlan> plan(const RouteRequest& request, Instant now);
  // What plan() would answer now, with every candidate; draws nothing, counts nothing.
  RouteExplanation explain(const RouteRequest& request, Instant now) const;

  // Own in-flight work. Call started() before the attempt's first byte goes out; first_token() when
  // it arrives (its prefill is done); finished() exactly once, from a destructor if need be. Of a
  // candidate removed since plan(), candidate() is null: do not send there.
  AttemptTicket started(CandidateIndex candidate, const RouteRequest& request, Instant now);
  void first_token(AttemptTicket ticket, Instant now);
  void finished(AttemptTicket ticket, const AttemptOutcome& outcome, Instant now);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perigee
