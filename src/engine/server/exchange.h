// Exchange: one HTTP request's side of the batcher: its generations, and their events on the IO
// thread.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/llama/batcher.h"
#include "net/notifier.h"
#include "net/task.h"

namespace perigee::engine_server {

class Exchange;

// Which exchange waits for which generation. IO thread only; shared with the events posted to it,
// which may arrive after the server has gone.
class ExchangeTable {
 public:
  void add(llama::GenerationId id, Exchange& exchange) { exchanges_[id] = &exchange; }
  void remove(llama::GenerationId id) { exchanges_.erase(id); }
  // Hands each event to its exchange; events of exchanges that left are dropped.
  void deliver(std::vector<llama::GenerationEvent>&& events);
  std::size_t size() const { return exchanges_.size(); }

 private:
  std::unordered_map<llama::GenerationId, Exchange*> exchanges_;
};

// Destroying it cancels its generations. One coroutine waits on it.
class Exchange {
 public:
  Exchange(Executor executor, ExchangeTable& table) : table_(table), notifier_(executor) {}
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void add(llama::Ticket ticket);
  std::size_t index_of(llama::GenerationId id) const;  // in the order of add()
  void take(llama::GenerationEvent&& event);
  void client_left();

  auto wait() { return notifier_.wait(); }
  bool left() const { return left_; }
  std::deque<llama::GenerationEvent>& events() { return events_; }

 private:
  void drop();
  ExchangeTable& table_;
  net::Notifier notifier_;
  std::vector<llama::Ticket> tickets_;
  std::deque<llama::GenerationEvent> events_;
  bool left_ = false;
};

}  // namespace perigee::engine_server
