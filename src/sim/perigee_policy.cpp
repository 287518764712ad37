#include "sim/perigee_policy.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/router.h"

namespace perigee::sim {
namespace {

const ModelId kModel{"m"};

RouterOptions options_of(const PolicyContext& context) {
  RouterOptions options;
  options.seed = context.seed;
  options.prefix_blocks_max = context.prefix_blocks_max;
  options.prefix_block_tokens = context.prefix_block_tokens;
  return options;
}

class PerigeePolicy final : public Policy {
 public:
  explicit PerigeePolicy(const PolicyContext& context) : router_(options_of(context)) {
    for (std::uint32_t law = 0; law < context.jurisdictions; ++law) {
      laws_.emplace_back("j" + std::to_string(law));
    }
    request_.model = kModel;
    for (std::uint32_t i = 0; i < context.candidates.size(); ++i) {
      const CandidateFacts& facts = context.candidates[i];
      CandidateState state;
      state.id.site = SiteId{"s" + std::to_string(facts.site)};
      if (facts.local) state.id.engine = EngineId{"e" + std::to_string(facts.engine)};
      state.id.model = kModel;
      if (facts.jurisdiction != kNone) state.jurisdiction = laws_[facts.jurisdiction];
      state.local = facts.local;
      state.healthy = true;
      state.rtt = facts.rtt;
      states_.push_back(state);
      const auto index = router_.update(state, Instant{});
      PERIGEE_ASSERT(index && *index == i);  // so that positions and handles are the same
    }
  }

  void choose(const RequestView& request, std::span<const CandidateView>, Instant now,
              Choice& choice) override {
    const auto plan = router_.plan(translate(request), now);
    if (!plan) return;
    for (const PlannedAttempt& attempt : plan->attempts) choice.add(attempt.candidate);
  }

  AttemptTicket started(std::uint32_t candidate, const RequestView& request, Instant now) override {
    return router_.started(candidate, translate(request), now);
  }
  void first_token(AttemptTicket ticket, std::uint32_t candidate, const EngineLoad* load,
                   Instant reported, Instant now) override {
    router_.first_token(ticket, now);
    if (load != nullptr) report(candidate, *load, reported, now);
  }
  void finished(AttemptTicket ticket, std::uint32_t candidate, const AttemptOutcome& outcome,
                const EngineLoad* load, Instant reported, Instant now) override {
    router_.finished(ticket, outcome, now);
    if (load != nullptr) report(candidate, *load, reported, now);
  }
  void digest(std::uint32_t candidate, const EngineLoad& load, bool healthy, Instant reported,
              Instant now) override {
    states_[candidate].healthy = healthy;
    report(candidate, load, reported, now);
  }

 private:
  void report(std::uint32_t candidate, const EngineLoad& load, Instant reported, Instant now) {
    CandidateState& state = states_[candidate];
    if (reported < state.reported) return;
    state.load = load;
    state.reported = reported;
    PERIGEE_ASSERT(router_.update(state, now));
  }
  const RouteRequest& translate(const RequestView& view) {
    request_.service_class = view.service_class;
    request_.prompt_tokens = view.prompt_tokens;
    request_.output_tokens_max = view.output_tokens_max;
    request_.prefix_blocks.assign(view.prefix_blocks.begin(), view.prefix_blocks.end());
    request_.jurisdictions.clear();
    for (const std::uint32_t law : view.jurisdictions) {
      request_.jurisdictions.push_back(laws_[law]);
    }
    request_.session = view.session;
    request_.deadline = view.deadline;
    request_.local_only = view.local_only;
    return request_;
  }

  Router router_;
  std::vector<JurisdictionId> laws_;
  std::vector<CandidateState> states_;
  RouteRequest request_;
};

}  // namespace

std::unique_ptr<Policy> make_perigee(const PolicyContext& context) {
  return std::make_unique<PerigeePolicy>(context);
}

}  // namespace perigee::sim
