// RankedPolicy: a policy that gives every allowed candidate a rank and takes the least; the next
// ones follow, for when it refuses or fails. What ranks equal in all is drawn. Most published rules
// have this shape.
//
// Rules that compare engines meet sites here: a candidate that stands for several engines is
// compared by its mean per engine.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "sim/policy.h"

namespace perigee::sim {

struct Rank {
  std::uint32_t tier = 0;
  double cost = 0;
  double tie = 0;  // among equal costs
  friend auto operator<=>(const Rank&, const Rank&) = default;
};

class RankedPolicy : public Policy {
 public:
  void choose(const RequestView& request, std::span<const CandidateView> views, Instant now,
              Choice& choice) final;

 protected:
  explicit RankedPolicy(const PolicyContext& context);

  // Fills `ranks`, all zero before, one per candidate; those of candidates that are not allowed
  // are not looked at.
  virtual void rank(const RequestView& request, std::span<const CandidateView> views, Instant now,
                    std::span<Rank> ranks) = 0;
  // The first of the list.
  virtual void chosen(const RequestView& request, std::span<const CandidateView> views,
                      std::uint32_t candidate) {
    static_cast<void>(request), static_cast<void>(views), static_cast<void>(candidate);
  }

  std::span<const CandidateFacts> facts() const { return facts_; }
  Random& random() { return random_; }
  // One of the allowed candidates but `except`, drawn by its engines; kNone: there is none.
  std::uint32_t draw(std::span<const CandidateView> views, std::uint32_t except = kNone);
  // To be called in rank(): the request waits in the site's one queue, see Choice::pooled.
  void pool() { pooled_ = true; }

 private:
  std::span<const CandidateFacts> facts_;
  Random random_;
  std::vector<Rank> ranks_;
  bool pooled_ = false;
};

// Requests that run, wait or are on their way there, as far as is known.
inline double known_requests(const CandidateView& view) {
  const std::uint32_t told = view.load.slots_busy + view.load.queued_requests + view.new_requests;
  return std::max(told, view.own_requests);
}

inline double requests_per_engine(const CandidateFacts& facts, const CandidateView& view) {
  return known_requests(view) / facts.engines;
}

// The rate that it reports, else the one it publishes, else SMG's default of 2,000 tokens/s.
double prefill_rate(const CandidateFacts& facts, const CandidateView& view);

// Tokens of the prompt that a candidate would have to compute.
inline double uncached_prompt(const RequestView& request, const CandidateView& view) {
  return request.prompt_tokens - std::min(view.cached_tokens, request.prompt_tokens);
}

// Share of the prompt that was sent there before, 0..1.
inline double hit_share(const RequestView& request, const CandidateView& view) {
  if (request.prompt_tokens == 0) return 0;
  return static_cast<double>(view.cached_tokens) / request.prompt_tokens;
}

}  // namespace perigee::sim
