#include "core/in_flight.h"

#include <algorithm>

#include "base/assert.h"

namespace perigee {

InFlightTable::InFlightTable(std::uint32_t attempts_max) : attempts_max_(attempts_max) {}

AttemptTicket InFlightTable::start(const AttemptRecord& record, InFlightCounters& counters,
                                   Duration one_way, Instant now) {
  if (size_ >= attempts_max_) return 0;
  if (free_ == 0) {
    nodes_.emplace_back();
    free_ = static_cast<std::uint32_t>(nodes_.size());
  }
  const std::uint32_t position = free_;
  Node& fresh = nodes_[position - 1];
  free_ = fresh.next;
  ++size_;

  fresh.record = record;
  fresh.arrives = now + one_way;
  fresh.one_way = one_way;
  fresh.live = true;
  fresh.seen = false;
  fresh.prefilled = false;
  fresh.next = 0;
  fresh.previous = counters.unseen_last;
  (counters.unseen_last != 0 ? nodes_[counters.unseen_last - 1].next : counters.unseen_first) =
      position;
  counters.unseen_last = position;

  ++counters.requests;
  ++counters.unseen_requests;
  counters.unseen_tokens += record.tokens;
  return (AttemptTicket{fresh.generation} << 32) | position;
}

InFlightTable::Node* InFlightTable::node(AttemptTicket ticket) {
  const std::uint64_t position = ticket & 0xffff'ffff;
  if (position == 0 || position > nodes_.size()) return nullptr;
  Node& found = nodes_[position - 1];
  return found.live && found.generation == ticket >> 32 ? &found : nullptr;
}

const AttemptRecord* InFlightTable::find(AttemptTicket ticket) const {
  const std::uint64_t position = ticket & 0xffff'ffff;
  if (position == 0 || position > nodes_.size()) return nullptr;
  const Node& found = nodes_[position - 1];
  return found.live && found.generation == ticket >> 32 ? &found.record : nullptr;
}

void InFlightTable::mark_probe(AttemptTicket ticket, bool probe) {
  if (Node* found = node(ticket)) found->record.probe = probe;
}

void InFlightTable::prefilled(AttemptTicket ticket, InFlightCounters* counters, Instant now) {
  Node* found = node(ticket);
  if (found == nullptr || found->prefilled) return;
  found->prefilled = true;
  if (counters == nullptr) return;
  if (found->seen) {
    if (now - found->one_way < counters->reported) return;
    counters->prefilled_tokens += found->record.tokens;
  } else {
    counters->unseen_tokens -= found->record.tokens;
  }
}

void InFlightTable::end(AttemptTicket ticket, InFlightCounters* counters, Instant now) {
  Node* found = node(ticket);
  if (found == nullptr) return;
  prefilled(ticket, counters, now);
  if (counters != nullptr) {
    PERIGEE_ASSERT(counters->requests > 0);
    --counters->requests;
    if (!found->seen) {
      --counters->unseen_requests;
      unlink(*found, *counters);
    } else if (now - found->one_way >= counters->reported) {
      ++counters->ended_requests;
    }
  }
  found->live = false;
  ++found->generation;
  found->next = free_;
  free_ = static_cast<std::uint32_t>(ticket & 0xffff'ffff);
  --size_;
}

void InFlightTable::report(InFlightCounters& counters, Instant reported) {
  counters.reported = reported;
  counters.ended_requests = 0;
  counters.prefilled_tokens = 0;
  // Travel times change, so arrivals need not be in the order of the list.
  for (std::uint32_t position = counters.unseen_first; position != 0;) {
    Node& unseen = nodes_[position - 1];
    position = unseen.next;
    if (unseen.arrives >= reported) continue;
    unlink(unseen, counters);
    unseen.seen = true;
    --counters.unseen_requests;
    if (!unseen.prefilled) counters.unseen_tokens -= unseen.record.tokens;
  }
}

void InFlightTable::unlink(Node& node, InFlightCounters& counters) {
  (node.previous != 0 ? nodes_[node.previous - 1].next : counters.unseen_first) = node.next;
  (node.next != 0 ? nodes_[node.next - 1].previous : counters.unseen_last) = node.previous;
  node.previous = 0;
  node.next = 0;
}

}  // namespace perigee
