// Router: decides where a request runs. Pure: no IO, no clock, no threads; the daemon and the
// simulator share it. Time comes in as an Instant, chance from a seeded Random, so that the same
// events give the same plans.
//
// For each candidate i (design, section 5), all terms in milliseconds:
//   ttft_i    = rtt_i + wait_i + prefill_i
//   wait_i    = (queued tokens reported + own tokens sent since that report) / rate_i + KV barrier
//   prefill_i = (prompt tokens - expected cache hit) / rate_i
//   finish_i  = ttft_i + expected output tokens * tpot_i
// Filters (model, jurisdiction, health, drain, breaker) come first and are never relaxed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "base/instant.h"
#include "base/result.h"
#include "core/inference.h"

namespace perigee {

// A (site, engine) that may serve a model. `engine` is empty for a peer site, which chooses among
// its engines itself. Dense index, given by the router, stable while the candidate exists.
using CandidateIndex = std::uint32_t;

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
  bool local = false;            // an engine of this site
  bool healthy = false;          // reachable and ready
  bool drained = false;
  Duration rtt{};                // smoothed round trip; 0 for local
  EngineLoad load;
  Instant reported{};            // when `load` was true
};

// A request as far as routing cares.
struct RouteRequest {
  ModelId model;
  TenantId tenant;
  ServiceClass service_class = ServiceClass::Standard;
  std::uint32_t prompt_tokens = 0;           // estimate
  std::uint32_t output_tokens = 0;           // expected; 0: the router's learned default
  std::vector<std::uint64_t> prefix_blocks;  // chained block hashes, salted by tenant
  std::vector<JurisdictionId> jurisdictions; // allowed; empty: any
  std::optional<Instant> deadline;
  std::uint64_t session = 0;                 // hash of the session key; 0: none
  bool local_only = false;                   // forwarded by a peer: never forward again
};

// Why a candidate was not considered.
enum class Rejection : std::uint8_t { None, Model, Jurisdiction, Unhealthy, Drained, Breaker, Forwarded };
std::string_view to_string(Rejection rejection);

// Every term of one candidate's prediction, for people and programs.
struct Prediction {
  CandidateIndex candidate = 0;
  Rejection rejection = Rejection::None;
  double rtt_ms = 0;
  double wait_ms = 0;
  double prefill_ms = 0;
  double barrier_ms = 0;             // as its KV cache fills
  double ttft_ms = 0;
  double tpot_ms = 0;
  double finish_ms = 0;
  std::uint32_t cached_tokens = 0;   // expected cache hit
  std::uint64_t queued_tokens = 0;   // reported + own in flight
  double rate_tokens_per_s = 0;      // learned prefill rate used
};

struct PlannedAttempt {
  CandidateIndex candidate = 0;
  Prediction prediction;
  std::string_view reason;  // static text: "nearest", "warm_cache", "less_load", "only_candidate"...
};

struct RoutePlan {
  std::vector<PlannedAttempt> attempts;  // best first, never empty
};

// A plan with all candidates, the rejected too: for `route explain`.
struct RouteExplanation {
  std::vector<PlannedAttempt> attempts;     // as plan() would order them
  std::vector<Prediction> candidates;       // every candidate of the model, best first, then rejected
};

// How an attempt went. Times count from started().
struct AttemptOutcome {
  enum class Kind : std::uint8_t { Served, Refused, Failed, Abandoned } kind = Kind::Served;
  std::optional<Duration> first_token;
  std::optional<Duration> finished;
  Usage usage;
};

struct RouterOptions {
  std::uint64_t seed = 1;
  std::uint32_t attempts_max = 3;
  // see router.cpp for the meaning and source of the others; the core's owner adds them here
};

class Router {
 public:
  explicit Router(RouterOptions options);
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // The view. update() adds or replaces; own in-flight work and learned rates survive it.
  CandidateIndex update(const CandidateState& state, Instant now);
  void remove(const CandidateId& id);
  const CandidateState& candidate(CandidateIndex index) const;

  // Unavailable (none healthy), NotFound (no candidate has the model), DataResidency (law excludes
  // all). The message names what was excluded and why.
  Result<RoutePlan> plan(const RouteRequest& request, Instant now);
  // The same without side effects (no random draw is consumed, nothing is counted).
  RouteExplanation explain(const RouteRequest& request, Instant now) const;

  // Own in-flight work: call started() before the attempt's first byte goes out, then finished()
  // exactly once with the same request. first_token() when it arrives (prefill is done).
  void started(CandidateIndex candidate, const RouteRequest& request, Instant now);
  void first_token(CandidateIndex candidate, const RouteRequest& request, Instant now);
  void finished(CandidateIndex candidate, const RouteRequest& request, const AttemptOutcome& outcome,
                Instant now);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perigee
