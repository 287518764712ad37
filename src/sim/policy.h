// The port of the simulator's routing policies, and their registry.
//
// One Policy object stands at each site where requests are decided: at every ingress (its
// candidates are its own engines and its peer sites), and, for a request that another site sent,
// where it arrives (`request.local_only`: own engines only). Central policies have all engines at
// one site; every ingress then sends there, and only that site's policy decides.
//
// All calls come from one thread, in the order of virtual time. A policy owns no clock and draws
// chance from `context.seed` only, so that the same scenario and seed give the same decisions on
// every machine: no unordered iteration, no standard distributions. It should not allocate per
// request. It may keep what it likes between calls.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/instant.h"
#include "core/inference.h"
#include "core/router.h"

namespace perigee::sim {

inline constexpr std::uint32_t kNone = 0xffff'ffff;

// What never changes of a candidate during a run. `kind` is a number for the GPU and model, equal
// for equal hardware; rates are those that the hardware's tables give, as an operator would
// publish.
struct CandidateFacts {
  std::uint32_t site = 0;              // number of the site in the scenario
  std::uint32_t engine = kNone;        // number of the engine within its site; kNone: a peer site
  bool local = false;                  // an engine of this site
  std::uint32_t jurisdiction = kNone;  // number of its law; kNone: none is named
  std::uint32_t kind = kNone;          // GPU kind; of a peer site that of its first engine
  std::uint32_t engines = 1;           // behind it
  std::uint32_t slots = 0;             // sequences at once, over all its engines
  std::uint64_t kv_tokens = 0;         // KV cache, over all its engines
  double prefill_tokens_per_s = 0;     // over all its engines, at long prompts
  double prefill_base_ms = 0;          // of one prefill
  double decode_base_ms = 0;           // of one token with one sequence
  double decode_ms_per_sequence = 0;   // per further sequence in the batch
  double price_per_hour = 0;           // over all its engines
  Duration rtt{};                      // of the network without jitter or load; 0: local
  Duration overhead{};                 // before its engine\'s queue: parsing, tokenizing
};

// What the site knows of one candidate when it decides. Kept up to date by the simulator, the same
// for every policy; `load` is as old as the digest that carried it.
struct CandidateView {
  bool allowed = true;  // by the filters: law, health, drain; others must not be chosen
  bool heard = false;   // a digest has arrived; else `load` is all zero
  double rtt_ms = 0;    // smoothed round trip; 0: local
  EngineLoad load;      // of the newest digest that has arrived; own engines: as it is now
  Instant reported{};   // when `load` was true
  std::uint32_t own_requests = 0;        // started here, not finished
  std::uint32_t own_waiting = 0;         // of these, without a first token
  std::uint64_t own_tokens = 0;          // prompt tokens of `own_requests`
  std::uint64_t own_waiting_tokens = 0;  // prompt tokens of `own_waiting`
  std::uint32_t new_requests = 0;        // of `own_requests`, those that `load` can't know yet
  std::uint64_t new_tokens = 0;          // prompt tokens of `new_requests`
  // Of this request: tokens of its prompt that this site sent there before, whole blocks from the
  // first on (traits.prefixes; else 0).
  std::uint32_t cached_tokens = 0;
  // traits.truth only: what would happen if it were sent there now and nothing else came, network
  // included, from the true state.
  double true_ttft_ms = 0;
  double true_tpot_ms = 0;
};

// A request as its ingress sees it. Valid during the call.
struct RequestView {
  std::uint64_t id = 0;
  std::uint32_t tenant = 0;
  ServiceClass service_class = ServiceClass::Standard;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t output_tokens_max = 0;  // the client's limit; 0: none
  // The answer's real length: nobody knows it before. traits.truth only; else 0.
  std::uint32_t output_tokens = 0;
  std::span<const std::uint64_t> prefix_blocks;  // chained, salted by tenant
  std::uint64_t session = 0;                     // 0: none
  std::span<const std::uint32_t> jurisdictions;  // numbers; empty: any
  std::optional<Instant> deadline;               // finish by then
  bool local_only = false;                       // sent by another site: own engines only
};

// Where a request goes: candidates by position, best first. Empty: refused here and now.
class Choice {
 public:
  void clear() {
    size_ = 0;
    pooled = false;
  }
  // Further ones than kMax are dropped.
  void add(std::uint32_t candidate) {
    if (size_ < kMax) candidates_[size_++] = candidate;
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::uint32_t operator[](std::size_t i) const {
    PERIGEE_ASSERT(i < size_);
    return candidates_[i];
  }
  // Waits in the site's one queue until any of its engines has room, instead of going to one
  // engine's own queue. For own engines only; the list is then not looked at.
  bool pooled = false;

 private:
  static constexpr std::size_t kMax = AttemptList::kMax;
  std::array<std::uint32_t, kMax> candidates_{};
  std::size_t size_ = 0;
};

// The hooks a policy may use. Candidates are named by position in `PolicyContext::candidates`,
// which is also the position in the views.
class Policy {
 public:
  virtual ~Policy() = default;

  // Decides. `views` is empty unless traits.views. The simulator tries the candidates in order, as
  // the gateway does: the next one when one refuses or fails before its first token.
  virtual void choose(const RequestView& request, std::span<const CandidateView> views, Instant now,
                      Choice& choice) = 0;

  // An attempt goes out; the returned ticket comes back in the two calls below. finished() comes
  // exactly once per started(). `load` (null: none came along) is the candidate's load that arrived
  // with the answer, true at `reported`.
  virtual AttemptTicket started(std::uint32_t candidate, const RequestView& request, Instant now) {
    static_cast<void>(candidate), static_cast<void>(request), static_cast<void>(now);
    return 0;
  }
  virtual void first_token(AttemptTicket ticket, std::uint32_t candidate, const EngineLoad* load,
                           Instant reported, Instant now) {
    static_cast<void>(ticket), static_cast<void>(candidate), static_cast<void>(load);
    static_cast<void>(reported), static_cast<void>(now);
  }
  virtual void finished(AttemptTicket ticket, std::uint32_t candidate,
                        const AttemptOutcome& outcome, const EngineLoad* load, Instant reported,
                        Instant now) {
    static_cast<void>(ticket), static_cast<void>(candidate), static_cast<void>(outcome);
    static_cast<void>(load), static_cast<void>(reported), static_cast<void>(now);
  }
  // A candidate's newer digest is known; called before choose(), only for candidates with news.
  // `healthy`: reachable and ready as far as this site knows. Own engines report before every
  // decision in which their load has changed.
  virtual void digest(std::uint32_t candidate, const EngineLoad& load, bool healthy,
                      Instant reported, Instant now) {
    static_cast<void>(candidate), static_cast<void>(load), static_cast<void>(healthy);
    static_cast<void>(reported), static_cast<void>(now);
  }
};

// What is shared by the policies of all sites of one run (a central policy's state); made once.
struct SharedState {
  virtual ~SharedState() = default;
};

struct PolicyContext {
  std::uint64_t seed = 1;  // of this site
  std::uint32_t site = 0;
  std::span<const CandidateFacts> candidates;  // own engines first, then peers, nearest first;
                                               // valid as long as the policy
  std::uint32_t prefix_block_tokens = 64;      // tokens in one block of RequestView::prefix_blocks
  std::uint32_t prefix_blocks_max = 65'536;    // to remember per site
  std::uint32_t jurisdictions = 0;             // their numbers are below
  bool prefixes_matter = false;                // some request has blocks
  std::shared_ptr<SharedState>* shared = nullptr;  // of the run; empty at first; never null
};

// What the simulator does for a policy, and how the hardware stands.
struct PolicyTraits {
  bool views = true;       // keep and pass CandidateView
  bool prefixes = false;   // fill CandidateView::cached_tokens (costs time)
  bool truth = false;      // views are true and current: for bounds
  bool central = false;    // all engines stand at one site
  bool admission = false;  // the serving site queues by core/admission instead of first come
};

struct PolicyEntry {
  std::string_view name;     // "least_load"
  std::string_view summary;  // one line, with its source
  PolicyTraits traits;
  std::unique_ptr<Policy> (*make)(const PolicyContext& context);
};

// All policies, in the order of reports; `perigee` first. Null when there is no such name.
std::span<const PolicyEntry> policies();
const PolicyEntry* find_policy(std::string_view name);

}  // namespace perigee::sim
