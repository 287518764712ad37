// The simplest baselines: each is one rule.
#include <algorithm>

#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

// In turn, over all candidates that are allowed.
class RoundRobin final : public Policy {
 public:
  explicit RoundRobin(const PolicyContext& context)
      : next_(static_cast<std::uint32_t>(context.seed %
                                         std::max<std::size_t>(1, context.candidates.size()))) {}
  void choose(const RequestView&, std::span<const CandidateView> views, Instant,
              Choice& choice) override {
    const auto count = static_cast<std::uint32_t>(views.size());
    std::uint32_t first = kNone;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t candidate = (next_ + i) % count;
      if (!views[candidate].allowed) continue;
      if (first == kNone) first = candidate;
      choice.add(candidate);
    }
    if (first != kNone) next_ = (first + 1) % count;
  }

 private:
  std::uint32_t next_;
};

// Adds the allowed candidates in the order of `key`, least first; of equals the nearest.
template <class Key>
void add_by(std::span<const CandidateView> views, Choice& choice, Key key) {
  const auto count = static_cast<std::uint32_t>(views.size());
  for (std::size_t place = 0; place < AttemptList::kMax; ++place) {
    std::uint32_t best = kNone;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!views[i].allowed) continue;
      bool taken = false;
      for (std::size_t k = 0; k < choice.size(); ++k) taken = taken || choice[k] == i;
      if (taken) continue;
      if (best == kNone || key(views[i]) < key(views[best])) best = i;
    }
    if (best == kNone) return;
    choice.add(best);
  }
}

// Fewest requests under way, as last reported plus what this site sent since.
class LeastLoad final : public Policy {
 public:
  void choose(const RequestView&, std::span<const CandidateView> views, Instant,
              Choice& choice) override {
    add_by(views, choice, [](const CandidateView& view) {
      return view.load.slots_busy + view.load.queued_requests + view.new_requests;
    });
  }
};

class Nearest final : public Policy {
 public:
  void choose(const RequestView&, std::span<const CandidateView> views, Instant,
              Choice& choice) override {
    add_by(views, choice, [](const CandidateView& view) { return view.rtt_ms; });
  }
};

// One queue before all engines: whichever has room takes the next.
class CentralPooled final : public Policy {
 public:
  void choose(const RequestView&, std::span<const CandidateView> views, Instant,
              Choice& choice) override {
    choice.pooled = true;
    for (std::uint32_t i = 0; i < views.size(); ++i) {
      if (views[i].allowed) choice.add(i);
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_round_robin(const PolicyContext& context) {
  return std::make_unique<RoundRobin>(context);
}
std::unique_ptr<Policy> make_least_load(const PolicyContext&) {
  return std::make_unique<LeastLoad>();
}
std::unique_ptr<Policy> make_nearest(const PolicyContext&) { return std::make_unique<Nearest>(); }
std::unique_ptr<Policy> make_central_pooled(const PolicyContext&) {
  return std::make_unique<CentralPooled>();
}

}  // namespace perigee::sim
