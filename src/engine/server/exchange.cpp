#include "engine/server/exchange.h"

#include <algorithm>

namespace perigee::engine_server {

void ExchangeTable::deliver(std::vector<llama::GenerationEvent>&& events) {
  for (llama::GenerationEvent& event : events) {
    const auto found = exchanges_.find(event.id);
    if (found != exchanges_.end()) found->second->take(std::move(event));
  }
}

Exchange::~Exchange() { drop(); }

void Exchange::drop() {
  for (const llama::Ticket& ticket : tickets_) table_.remove(ticket.id());
  tickets_.clear();
}

void Exchange::add(llama::Ticket ticket) {
  table_.add(ticket.id(), *this);
  tickets_.push_back(std::move(ticket));
}

std::size_t Exchange::index_of(llama::GenerationId id) const {
  const auto found = std::find_if(tickets_.begin(), tickets_.end(),
                                  [id](const llama::Ticket& ticket) { return ticket.id() == id; });
  return static_cast<std::size_t>(found - tickets_.begin());
}

void Exchange::take(llama::GenerationEvent&& event) {
  events_.push_back(std::move(event));
  notifier_.notify();
}

void Exchange::client_left() {
  left_ = true;
  drop();
  notifier_.notify();
}

}  // namespace perigee::engine_server
