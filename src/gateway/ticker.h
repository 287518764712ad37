// Ticker: wakes requests at instants of their own (heartbeats, engines that are silent for too
// long, hedges). One timer for all of them: most instants move on before they come.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "net/notifier.h"
#include "net/task.h"

namespace perigee {

class Ticker {
 public:
  static constexpr Duration kResolution = milliseconds{10};  // nobody is woken more exactly

  // `clock` must outlive it. Looks at least every `interval`. Runs until destroyed.
  Ticker(Executor executor, const Clock& clock, Duration interval);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // Notifies `notifier` for as long as it lives.
  class Registration {
   public:
    Registration(Ticker& ticker, net::Notifier& notifier);
    ~Registration();
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    // Once, at `when` or a little later; replaces the instant before. max: never.
    void wake_at(Instant when) { ticker_.wake_at(place_, when); }

   private:
    friend class Ticker;
    Ticker& ticker_;
    net::Notifier& notifier_;
    std::size_t place_;
  };
  std::size_t size() const { return entries_.size(); }

 private:
  // Side by side, so that looking through thousands of them costs microseconds.
  struct Entry {
    Instant when = Instant::max();
    Registration* owner = nullptr;
  };
  void wake_at(std::size_t place, Instant when);
  void schedule(Instant now);
  void tick();

  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>, Executor>;
  const Clock& clock_;
  Duration interval_;
  Timer timer_;
  Instant next_;  // when the timer fires
  std::vector<Entry> entries_;
  std::shared_ptr<Ticker*> alive_ = std::make_shared<Ticker*>(this);
};

}  // namespace perigee
