// TestGrid: a small table of candidates and what is known of them, for tests of policies. Views are
// set by hand; the grid only counts what it sends when asked to.
#pragma once

#include <memory>
#include <vector>

#include "sim/policy.h"

namespace perigee::sim {

class TestGrid {
 public:
  using Maker = std::unique_ptr<Policy> (*)(const PolicyContext&);

  // An engine of 10,000 tokens/s, 64 slots and room for 100,000 tokens.
  CandidateView& add_local() { return add(true, 0, 1); }
  CandidateView& add_peer(double rtt_ms, std::uint32_t engines = 1) {
    return add(false, rtt_ms, engines);
  }
  CandidateFacts& facts(std::uint32_t i) { return facts_[i]; }
  CandidateView& view(std::uint32_t i) { return views_[i]; }

  // After all candidates are there.
  void make(Maker maker, std::uint64_t seed = 1) {
    PolicyContext context;
    context.seed = seed;
    context.candidates = facts_;
    context.shared = shared_with_ != nullptr ? shared_with_ : &shared_;
    policy_ = maker(context);
  }
  // To be one site of a run of which `other` is another; both must be alive.
  void share(TestGrid& other) { shared_with_ = &other.shared_; }
  Policy& policy() { return *policy_; }

  Choice choose(const RequestView& request, Instant now = Instant{seconds{100}}) {
    Choice choice;
    policy_->choose(request, views_, now, choice);
    return choice;
  }
  std::uint32_t first(const RequestView& request) {
    const Choice choice = choose(request);
    return choice.empty() ? kNone : choice[0];
  }
  // How often each is first in `times` decisions over the same views.
  std::vector<int> count(const RequestView& request, int times) {
    std::vector<int> counts(views_.size());
    for (int i = 0; i < times; ++i) ++counts[first(request)];
    return counts;
  }

  static RequestView prompt(std::uint32_t tokens) {
    RequestView request;
    request.id = 7;
    request.prompt_tokens = tokens;
    return request;
  }

 private:
  CandidateView& add(bool local, double rtt_ms, std::uint32_t engines) {
    CandidateFacts facts;
    facts.site = local ? 0 : static_cast<std::uint32_t>(facts_.size()) + 1;
    facts.engine = local ? static_cast<std::uint32_t>(facts_.size()) : kNone;
    facts.local = local;
    facts.kind = 0;
    facts.engines = engines;
    facts.slots = 64 * engines;
    facts.kv_tokens = 100'000ULL * engines;
    facts.prefill_tokens_per_s = 10'000.0 * engines;
    facts.decode_base_ms = 10;
    facts.rtt = from_ms(rtt_ms);
    facts_.push_back(facts);
    CandidateView view;
    view.heard = true;
    view.rtt_ms = rtt_ms;
    view.load.slots = facts.slots;
    view.load.prefill_tokens_per_s = facts.prefill_tokens_per_s;
    view.load.decode_ms = 10;
    view.reported = Instant{seconds{100}};
    views_.push_back(view);
    return views_.back();
  }

  std::vector<CandidateFacts> facts_;
  std::vector<CandidateView> views_;
  std::shared_ptr<SharedState> shared_;
  std::shared_ptr<SharedState>* shared_with_ = nullptr;
  std::unique_ptr<Policy> policy_;
};

}  // namespace perigee::sim
