// Ticker: about once a second, tells every running EventStream what time it is (heartbeats,
// engines that are silent for too long). One timer for all streams.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "gateway/event_stream.h"
#include "net/task.h"

namespace perigee {

class Ticker {
 public:
  // `clock` must outlive it. Runs until destroyed.
  Ticker(Executor executor, const Clock& clock, Duration interval);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // Ticks a stream for as long as it lives.
  class Registration {
   public:
    Registration(Ticker& ticker, EventStream& stream);
    ~Registration();
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    friend class Ticker;
    Ticker& ticker_;
    EventStream& stream_;
    std::size_t place_;
  };
  std::size_t streams() const { return registrations_.size(); }

 private:
  void schedule();
  void tick();

  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>, Executor>;
  const Clock& clock_;
  Duration interval_;
  Timer timer_;
  std::vector<Registration*> registrations_;
  std::shared_ptr<Ticker*> alive_ = std::make_shared<Ticker*>(this);
};

}  // namespace perigee
