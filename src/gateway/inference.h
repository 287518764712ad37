// Inference: serves one inference request, whatever transport it came by. The six steps of
// docs/life_of_a_request.md: who asks, what is asked, decide, reserve, run, learn. Decisions are
// the router's; this carries values between the steps.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/request_summary.h"
#include "base/clock.h"
#include "base/random.h"
#include "core/failover.h"
#include "core/router.h"
#include "directory/records.h"
#include "engine/engine.h"
#include "gateway/answer.h"
#include "gateway/attempts.h"
#include "gateway/cache_salt.h"
#include "gateway/client_hints.h"
#include "gateway/engine_table.h"
#include "gateway/inference_observer.h"
#include "gateway/rate_gate.h"
#include "gateway/ticker.h"
#include "identity/identity.h"
#include "ledger/ledger.h"

namespace perigee {

class Meter;

struct InferenceOptions {
  SiteId site;
  api::SummaryLimits summary;
  Duration heartbeat = seconds{15};            // `: keep-alive` when nothing else was sent
  Duration first_token_timeout = seconds{60};  // of one attempt
  Duration answer_timeout = seconds{600};      // of one non-streaming attempt
  std::size_t requests_max = 20'000;           // at once
};

// A request as it arrives, before anything of it is trusted. `body` must be readable for 64 bytes
// past its end; it is copied before serve() first waits.
struct InferenceCall {
  Operation operation = Operation::Chat;
  Caller caller;
  ClientHints hints;
  std::string_view body;
  std::optional<RecordId> record_id;  // of its usage record; none: a new one
};

class Inference {
 public:
  // What it works with; all must outlive it. `directory` gives the newest snapshot.
  struct Parts {
    Executor executor;
    const Clock& clock;
    Router& router;
    EngineTable& engines;
    Ledger& ledger;
    Ticker& ticker;
    InferenceObserver& observer;
    std::function<std::shared_ptr<const DirectorySnapshot>()> directory;
    std::uint64_t seed;
    // Of all engines of a model here and what waits for them, to go back to a peer with an answer;
    // none: as the engine told.
    std::function<std::optional<EngineLoad>(const ModelId&)> load = {};
    // Keeps the limits per minute of keys; none: no key has any.
    RateGate* rates = nullptr;
  };
  Inference(Parts parts, InferenceOptions options);
  ~Inference();

  // Answers the call, with an error if need be. `answer` must live until it returns.
  Task<> serve(std::unique_ptr<InferenceCall> call, Answer& answer);

  // Steps 2 and 3 only: what may be asked of whom, now. Fails as serve() would.
  Result<RouteRequest> route_request(const InferenceCall& call) const;
  // Counts a request that runs nothing, since its answer is here, against the limits of its key.
  // Fails as serve() would, and sets `head` for that.
  Task<Result<>> count_replay(const Caller& caller, AnswerHead& head);
  std::shared_ptr<const DirectorySnapshot> directory() const { return parts_.directory(); }

  std::size_t running() const { return runs_.size(); }
  // Ends what runs at engines of this site: streams of own clients go on elsewhere, those of peers
  // end with an error (429) that their ingress resumes from, and that counts against nobody's
  // breaker. For draining, once the router knows these engines as drained.
  void leave_local_engines();
  // Ends, with the error that a new request would get, what runs for keys and tenants that the
  // directory does not let in any more. It is metered up to what was delivered. What other sites
  // sent here is theirs to end. What runs at sites that are in the grid no more ends as if the
  // connection had failed: nothing that they say from now on is passed on.
  void follow(const DirectorySnapshot& directory);
  // An engine or a peer takes work that did not: what waits because nobody could take it asks at
  // once, instead of when its pause is over.
  void look_again();
  // An engine or a peer can't be reached any more, and the router knows: whole answers that it
  // makes are begun at others, too. Not those of peers, whose ingress does so.
  void look_for_unreachable();
  // For x-request-id, when the client gave none.
  std::string new_request_id();

 private:
  struct Run;
  template <class Act>
  void each_running(Act act);  // calls it with each Attempts
  void begin(const InferenceCall& call, Run& run);
  bool keeps_rates(const Caller& caller) const;
  Task<> keep_rates(const InferenceCall& call, Run& run);
  Result<> prepare(const InferenceCall& call, Run& run);
  const FailoverOptions& failover(const Run& run) const;
  static Result<Delivered> delivered_before(const InferenceCall& call, BodySpan span);
  RequestContext make_context(const InferenceCall& call, const RouteRequest& route,
                              std::string session);
  // Takes the prefix blocks out of `summary`.
  Result<RouteRequest> make_route_request(const InferenceCall& call,
                                          api::RequestSummary& summary) const;
  Result<Meter> open_meter(const InferenceCall& call, const Job& job, std::uint32_t prompt_tokens);
  Task<> relay(Answer& answer, Run& run);
  Task<> relay_whole(Answer& answer, Run& run);
  Task<> relay_stream(Answer& answer, Run& run);
  Task<bool> hand_on(Answer& answer, Run& run);  // these three: false when the client left
  Task<bool> beat(Answer& answer, Run& run);
  Task<bool> end_stream(Answer& answer, Run& run);
  std::optional<EngineLoad> load_for_peer(const Run& run,
                                          const std::optional<EngineLoad>& told) const;
  void learn_server(Answer& answer, Run& run);
  void settle(Run& run);
  Task<> tell(Answer& answer, Run& run);
  void observe(const Run& run);

  Parts parts_;
  InferenceOptions options_;
  static constexpr std::size_t kStreams = 1;
  static constexpr std::size_t kForwarded = 2;
  std::array<FailoverOptions, 4> failover_;  // by what the request is
  Random random_;
  CacheSaltTable salts_;
  Attempts::Parts attempt_parts_;
  std::vector<Run*> runs_;  // under way
};

}  // namespace perigee
