// InFlightTable: the attempts under way, and how much of their work no report covers yet. A report
// is seconds old and other sites send too; one's own part is known at once and must neither be
// missed (a burst would herd) nor counted twice (once here, once in the report).
//
// Of each candidate, relative to its newest report:
//   unseen   sent after the report was true (half a round trip counts as under way): not in it
//   seen     in the report: the report's own queue and busy counts carry it
// A first token takes an unseen attempt's tokens away, or a seen attempt's out of the report's
// queue, unless it left the candidate before the report was true. What ends between a report being
// true and its arrival is counted until the next report.
#pragma once

#include <cstdint>
#include <vector>

#include "base/instant.h"
#include "core/router.h"

namespace perigee {

// Kept with each candidate; changed by InFlightTable only.
struct InFlightCounters {
  std::uint32_t requests = 0;          // started, not finished
  std::uint32_t unseen_requests = 0;   // of these, not in the report
  std::uint32_t ended_requests = 0;    // in the report, ended since
  std::uint64_t unseen_tokens = 0;     // to prefill, not in the report
  std::uint64_t prefilled_tokens = 0;  // in the report's queue, prefilled since
  Instant reported{};                  // when the report was true
  std::uint32_t unseen_first = 0;      // list of unseen attempts, oldest first; 0: none
  std::uint32_t unseen_last = 0;
};

// What is remembered of an attempt, to learn from its end.
struct AttemptRecord {
  CandidateIndex candidate = 0;
  std::uint32_t prompt_tokens = 0;   // as the request estimated
  std::uint32_t choices = 1;         // answers
  std::uint32_t tokens = 0;          // to prefill, counted in flight
  std::uint32_t matched_tokens = 0;  // sent there before, as the request estimated
  double queued_tokens = 0;          // ahead of it, at one engine
  double token_scale = 1;            // this model's tokens per estimated token
  double other_ms = 0;               // of the prediction: rtt and slot
  double ttft_ms = 0;                // predicted
  double tpot_published_ms = 0;
  bool probe = false;  // of a half-open breaker
};

class InFlightTable {
 public:
  explicit InFlightTable(std::uint32_t attempts_max);
  // 0 when the table is full. `one_way`: how long the request travels.
  AttemptTicket start(const AttemptRecord& record, InFlightCounters& counters, Duration one_way,
                      Instant now);
  // Null for 0 and for attempts that have ended. Valid until the next start().
  const AttemptRecord* find(AttemptTicket ticket) const;
  void mark_probe(AttemptTicket ticket, bool probe);
  // `counters` of the attempt's candidate; null when that candidate is gone.
  void prefilled(AttemptTicket ticket, InFlightCounters* counters, Instant now);
  void end(AttemptTicket ticket, InFlightCounters* counters, Instant now);
  // A newer report, true at `reported`: what arrived there before is in it.
  void report(InFlightCounters& counters, Instant reported);
  std::uint32_t size() const { return size_; }

 private:
  struct Node {
    AttemptRecord record;
    Instant arrives{};
    Duration one_way{};
    std::uint32_t generation = 0;
    std::uint32_t previous = 0;  // in the list of unseen, or `next` in the free list; index + 1
    std::uint32_t next = 0;
    bool live = false;
    bool seen = false;
    bool prefilled = false;
  };
  Node* node(AttemptTicket ticket);
  void unlink(Node& node, InFlightCounters& counters);

  std::vector<Node> nodes_;
  std::uint32_t attempts_max_;
  std::uint32_t free_ = 0;  // index + 1
  std::uint32_t size_ = 0;
};

}  // namespace perigee
