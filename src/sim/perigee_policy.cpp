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

// Most blocks that a digest's filter tells of, and how often a site makes a new one.
constexpr std::uint64_t kFilterBlocksMost = 16'384;
constexpr Duration kFilterInterval = seconds{5};

// What sites tell of their caches in digests. A digest carries the filter that was there when it
// was made: the newest but one is kept, so that nobody sees what is newer than the digest.
struct SharedFilters final : SharedState {
  struct Filter {
    std::shared_ptr<const PrefixFilter> blocks;
    Instant made{};
  };
  struct Site {
    const Router* router = nullptr;
    std::uint32_t blocks_max = 0;  // as many as its engines hold
    Filter newest;
    Filter before;
  };
  std::vector<Site> sites;

  std::shared_ptr<const PrefixFilter> of(std::uint32_t number, Instant reported, Instant now) {
    Site& site = sites[number];
    if (site.newest.blocks == nullptr || now - site.newest.made >= kFilterInterval) {
      site.before = std::move(site.newest);
      site.newest = {
          std::make_shared<PrefixFilter>(site.router->held_prefixes(kModel, site.blocks_max, now)),
          now};
    }
    return site.newest.made <= reported ? site.newest.blocks : site.before.blocks;
  }
};

class PerigeePolicy final : public Policy {
 public:
  explicit PerigeePolicy(const PolicyContext& context) : router_(options_of(context)) {
    if (context.prefixes_matter) {
      if (*context.shared == nullptr) *context.shared = std::make_shared<SharedFilters>();
      filters_ = static_cast<SharedFilters*>(context.shared->get());
      if (filters_->sites.size() <= context.site) filters_->sites.resize(context.site + 1);
      std::uint64_t tokens = 0;
      for (const CandidateFacts& facts : context.candidates) {
        if (facts.local) tokens += facts.kv_tokens;
      }
      filters_->sites[context.site].router = &router_;
      filters_->sites[context.site].blocks_max = static_cast<std::uint32_t>(
          std::min(kFilterBlocksMost, tokens / context.prefix_block_tokens));
    }
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
      state.engines = facts.engines;
      states_.push_back(state);
      sites_.push_back(facts.site);
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
    if (load != nullptr) router_.report(candidate, *load, reported);
  }
  void finished(AttemptTicket ticket, std::uint32_t candidate, const AttemptOutcome& outcome,
                const EngineLoad* load, Instant reported, Instant now) override {
    router_.finished(ticket, outcome, now);
    if (load != nullptr) router_.report(candidate, *load, reported);
  }
  void digest(std::uint32_t candidate, const EngineLoad& load, bool healthy, Instant reported,
              Instant now) override {
    CandidateState& state = states_[candidate];
    std::shared_ptr<const PrefixFilter> held = state.held;
    if (filters_ != nullptr && !state.local) held = filters_->of(sites_[candidate], reported, now);
    if (state.healthy == healthy && held == state.held) {
      return router_.report(candidate, load, reported);
    }
    state.held = std::move(held);
    state.healthy = healthy;
    state.load = load;
    state.reported = reported;
    PERIGEE_ASSERT(router_.update(state, now));
  }

 private:
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
  std::vector<std::uint32_t> sites_;  // of each candidate
  SharedFilters* filters_ = nullptr;  // null: no request has blocks
  RouteRequest request_;
};

}  // namespace

std::unique_ptr<Policy> make_perigee(const PolicyContext& context) {
  return std::make_unique<PerigeePolicy>(context);
}

}  // namespace perigee::sim
