// Random worlds: sites come, go, fail and report; requests run and end in every way. After every
// step the promises of router.h are checked. The seed is in every message.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/router.h"

namespace perigee {
namespace {

constexpr std::uint64_t kSeeds = 30;
constexpr int kSteps = 600;
const std::vector<std::string> kLaws{"de", "fr", "us"};

class World {
 public:
  explicit World(std::uint64_t seed)
      : random_(seed), router_({.seed = seed, .prefix_blocks_max = 500}) {}

  void step() {
    now_ += milliseconds{random_.below(200)};
    switch (random_.below(8)) {
      case 0: report(); break;
      case 1: remove(); break;
      case 2:
      case 3: token(); break;
      case 4: end(); break;
      default: plan(); break;
    }
  }
  void finish_all() {
    while (!running_.empty()) end();
    for (const auto& [name, state] : states_) {
      const InFlight own = router_.in_flight(*router_.find(state.id));
      EXPECT_EQ(own.requests, 0U);
      EXPECT_EQ(own.unseen_requests, 0U);
      EXPECT_EQ(own.unseen_tokens, 0U);
    }
  }
  const std::string& trace() const { return trace_; }

 private:
  struct Running {
    AttemptTicket ticket;
    Instant started;
  };

  bool chance(double share) { return random_.uniform() < share; }

  void report() {
    const std::string name = "s" + std::to_string(random_.below(12));
    CandidateState state;
    state.id = {.site = SiteId{"site" + std::to_string(random_.below(2)) + name},
                .engine = EngineId{chance(0.5) ? "" : "e0"},
                .model = ModelId{chance(0.8) ? "demo" : "other"}};
    if (states_.contains(name)) state.id = states_[name].id;
    state.jurisdiction = JurisdictionId{kLaws[random_.below(kLaws.size())]};
    state.local = chance(0.2);
    state.healthy = chance(0.85);
    state.drained = chance(0.1);
    state.rtt = milliseconds{random_.below(60)};
    state.load.slots = static_cast<std::uint32_t>(random_.below(9));
    state.load.slots_busy = static_cast<std::uint32_t>(random_.below(9));
    state.load.queued_tokens = random_.below(5000);
    state.load.kv_used = random_.uniform() * 1.2;
    state.load.prefill_tokens_per_s = static_cast<double>(random_.below(8000));
    state.reported = now_ - milliseconds{random_.below(500)};
    if (chance(0.2)) state.capabilities = static_cast<Capabilities>(random_.below(16));
    if (chance(0.2)) state.context_tokens = 6000;
    state.attestation = static_cast<Attestation>(random_.below(3));
    state.price_micros_per_mtok = static_cast<std::int64_t>(random_.below(3)) * 500'000;
    state.backbone_ms_per_mib = static_cast<double>(random_.below(50));
    if (chance(0.3)) state.reserved_share = random_.uniform();
    if (chance(0.3)) state.power_share = random_.uniform() - 0.1;
    state.held = filter();
    ASSERT_TRUE(router_.update(state, now_));
    states_[name] = state;
  }
  std::shared_ptr<const PrefixFilter> filter() {
    if (chance(0.5)) return nullptr;
    PrefixFilter held{100};
    const std::uint64_t chat = random_.below(20);
    for (std::uint64_t i = random_.below(100); i > 0; --i) held.insert(chat * 1'000'000 + i - 1);
    return std::make_shared<const PrefixFilter>(std::move(held));
  }
  void remove() {
    if (states_.empty() || !chance(0.3)) return;
    auto victim = states_.begin();
    std::advance(victim, static_cast<std::ptrdiff_t>(random_.below(states_.size())));
    router_.remove(victim->second.id);
    states_.erase(victim);
  }
  RouteRequest request() {
    RouteRequest request;
    request.model = ModelId{chance(0.8) ? "demo" : "other"};
    request.service_class = static_cast<ServiceClass>(random_.below(4));
    request.prompt_tokens = static_cast<std::uint32_t>(random_.below(8000));
    request.output_tokens = static_cast<std::uint32_t>(random_.below(300));
    const std::uint64_t chat = random_.below(20);
    for (std::uint64_t i = 0; i < request.prompt_tokens / 64; ++i) {
      request.prefix_blocks.push_back(chat * 1'000'000 + i);
    }
    if (chance(0.4)) request.jurisdictions.emplace_back(kLaws[random_.below(kLaws.size())]);
    if (chance(0.2)) request.deadline = now_ + milliseconds{1 + random_.below(5000)};
    if (chance(0.5)) request.session = 1 + random_.below(10);
    request.local_only = chance(0.1);
    if (chance(0.1)) request.needs = static_cast<Capabilities>(random_.below(16));
    if (chance(0.1)) request.attestation = static_cast<Attestation>(random_.below(3));
    if (chance(0.2)) request.price_ceiling = 500'000;
    if (chance(0.3)) request.price_sensitivity_ms = random_.uniform() * 1e6;
    return request;
  }
  bool allowed(const RouteRequest& request, const CandidateState& state) const {
    const bool lawful =
        request.jurisdictions.empty() ||
        std::ranges::find(request.jurisdictions, state.jurisdiction) != request.jurisdictions.end();
    const bool fit = (request.needs & ~state.capabilities) == 0 &&
                     state.attestation >= request.attestation &&
                     state.price_micros_per_mtok <= request.price_ceiling.value_or(1'000'000);
    return state.id.model == request.model && lawful && state.healthy && !state.drained && fit &&
           (state.local || !request.local_only) && state.power_share > 0;
  }
  void plan() {
    const RouteRequest wanted = request();
    const RouteExplanation explanation = router_.explain(wanted, now_);
    const auto plan = router_.plan(wanted, now_);
    if (!plan) {
      trace_ += std::to_string(static_cast<int>(plan.error().code)) + ";";
      EXPECT_TRUE(explanation.attempts.empty());
      for (const Prediction& p : explanation.candidates) EXPECT_NE(p.rejection, Rejection::None);
      return;
    }
    check(wanted, *plan, explanation);
    const PlannedAttempt& first = plan->attempts[random_.below(plan->attempts.size())];
    trace_ += std::to_string(first.candidate) + std::string{first.reason} + ";";
    running_.push_back({router_.started(first.candidate, wanted, now_), now_});
  }
  void check(const RouteRequest& wanted, const RoutePlan& plan,
             const RouteExplanation& explanation) const {
    std::set<CandidateIndex> seen;
    ASSERT_EQ(plan.attempts.size(), explanation.attempts.size());
    EXPECT_EQ(plan.hedge_after, explanation.hedge_after);
    if (plan.hedge_after) {
      EXPECT_EQ(wanted.service_class, ServiceClass::Realtime);
      EXPECT_GE(plan.attempts.size(), 2U);
      EXPECT_GT(*plan.hedge_after, Duration{});
      EXPECT_LE(*plan.hedge_after, milliseconds{500});
    }
    for (std::size_t i = 0; i < plan.attempts.size(); ++i) {
      const PlannedAttempt& attempt = plan.attempts[i];
      const CandidateState* state = router_.candidate(attempt.candidate);
      ASSERT_NE(state, nullptr);
      EXPECT_TRUE(allowed(wanted, *state));
      EXPECT_NE(router_.breaker(attempt.candidate, now_), BreakerState::Open);
      EXPECT_TRUE(seen.insert(attempt.candidate).second);
      EXPECT_FALSE(attempt.reason.empty());
      EXPECT_EQ(attempt.candidate, explanation.attempts[i].candidate);
      EXPECT_EQ(attempt.reason, explanation.attempts[i].reason);
      const Prediction& p = attempt.prediction;
      EXPECT_EQ(p.rejection, Rejection::None);
      EXPECT_NEAR(p.ttft_ms, p.rtt_ms + p.overhead_ms + p.wait_ms + p.slot_ms + p.prefill_ms, 1e-6);
      EXPECT_NEAR(p.score_ms, p.ttft_ms + p.barrier_ms + p.excess_ms + p.price_ms + p.backbone_ms,
                  1e-6);
      EXPECT_GE(p.prefill_ms, 0);
      EXPECT_GE(p.uncertainty_ms, 0);
    }
    for (const Prediction& p : explanation.candidates) {
      const CandidateState* state = router_.candidate(p.candidate);
      ASSERT_NE(state, nullptr);
      EXPECT_TRUE(p.rejection != Rejection::None || allowed(wanted, *state));
      EXPECT_TRUE(p.rejection != Rejection::Breaker || p.breaker != BreakerState::Closed);
    }
  }
  void token() {
    if (running_.empty()) return;
    router_.first_token(running_[random_.below(running_.size())].ticket, now_);
  }
  void end() {
    if (running_.empty()) return;
    const std::size_t i = random_.below(running_.size());
    AttemptOutcome outcome;
    const double kind = random_.uniform();
    outcome.kind = kind < 0.6   ? AttemptOutcome::Kind::Served
                   : kind < 0.8 ? AttemptOutcome::Kind::Failed
                   : kind < 0.9 ? AttemptOutcome::Kind::Refused
                                : AttemptOutcome::Kind::Abandoned;
    outcome.finished = now_ - running_[i].started;
    if (chance(0.7)) outcome.first_token = *outcome.finished / 2;
    outcome.usage.prompt_tokens = static_cast<std::uint32_t>(random_.below(10'000));
    outcome.usage.cached_tokens = static_cast<std::uint32_t>(random_.below(10'000));
    outcome.usage.completion_tokens = static_cast<std::uint32_t>(random_.below(300));
    router_.finished(running_[i].ticket, outcome, now_);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  Random random_;
  Router router_;
  Instant now_{seconds{1000}};
  std::map<std::string, CandidateState> states_;
  std::vector<Running> running_;
  std::string trace_;
};

TEST(RouterProperty, KeepsItsPromisesInRandomWorlds) {
  for (std::uint64_t seed = 1; seed <= kSeeds && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world{seed};
    for (int i = 0; i < kSteps && !::testing::Test::HasFatalFailure(); ++i) world.step();
    world.finish_all();
  }
}

TEST(RouterProperty, SameSeedSamePlans) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    World one{seed};
    World two{seed};
    for (int i = 0; i < kSteps; ++i) {
      one.step();
      two.step();
    }
    EXPECT_EQ(one.trace(), two.trace());
    EXPECT_GT(one.trace().size(), 1000U);
  }
}

}  // namespace
}  // namespace perigee
