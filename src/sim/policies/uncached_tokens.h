// UncachedTokens: how much of the prompts that this site sent is still to be computed, caches taken
// into account; what rules count that track "new tokens in flight" themselves. The attempt's ticket
// holds its tokens, so nothing is looked up.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/policies/ranked_policy.h"

namespace perigee::sim {

class UncachedTokens {
 public:
  explicit UncachedTokens(std::size_t candidates) : cached_(candidates), waiting_(candidates) {}

  // The views that the request is decided by.
  void remember(const RequestView& request, std::span<const CandidateView> views);
  AttemptTicket started(std::uint32_t candidate, const RequestView& request);
  void first_token(AttemptTicket ticket, std::uint32_t candidate) { waiting_[candidate] -= ticket; }
  void finished(AttemptTicket ticket, std::uint32_t candidate, const AttemptOutcome& outcome) {
    if (!outcome.first_token) waiting_[candidate] -= ticket;
  }

  // Tokens to be computed there before a request sent now: what its report queues, and the uncached
  // part of own ones that the report can't know.
  double ahead(std::uint32_t candidate, const CandidateView& view) const;

 private:
  std::uint64_t request_ = 0;
  std::vector<std::uint32_t> cached_;
  std::vector<std::uint64_t> waiting_;
};

// A RankedPolicy that counts them.
class TokenCountingPolicy : public RankedPolicy {
 public:
  AttemptTicket started(std::uint32_t candidate, const RequestView& request,
                        Instant /*now*/) override {
    return tokens_.started(candidate, request);
  }
  void first_token(AttemptTicket ticket, std::uint32_t candidate, const EngineLoad* /*load*/,
                   Instant /*reported*/, Instant /*now*/) override {
    tokens_.first_token(ticket, candidate);
  }
  void finished(AttemptTicket ticket, std::uint32_t candidate, const AttemptOutcome& outcome,
                const EngineLoad* /*load*/, Instant /*reported*/, Instant /*now*/) override {
    tokens_.finished(ticket, candidate, outcome);
  }

 protected:
  explicit TokenCountingPolicy(const PolicyContext& context)
      : RankedPolicy(context), tokens_(context.candidates.size()) {}
  void chosen(const RequestView& request, std::span<const CandidateView> views,
              std::uint32_t /*candidate*/) override {
    tokens_.remember(request, views);
  }
  double ahead(std::uint32_t candidate, const CandidateView& view) const {
    return tokens_.ahead(candidate, view);
  }

 private:
  UncachedTokens tokens_;
};

}  // namespace perigee::sim
