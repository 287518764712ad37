// DeadlineSweep: many coarse deadlines on one timer. Setting one is a store, so that no request
// pays for a timer operation; a deadline is noticed up to `tick` late. IO thread only.
//
// Deadlines judge others, so the event loop's own lateness is not counted: what they wait for may
// have come and not been read yet. Time runs at most two ticks from one sweep to the next.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>
#include <memory>

#include "base/clock.h"
#include "net/task.h"

namespace perigee::net {

class DeadlineSweep {
 public:
  // Linked for as long as it lives; without a deadline it costs a comparison per tick.
  class Entry {
   public:
    using Expired = void (*)(void* owner);
    // `expired(owner)` is called once per deadline that passed; it may destroy entries, this too.
    Entry(DeadlineSweep& sweep, Expired expired, void* owner);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    void expire_after(Duration duration);
    void never() { deadline_ = Instant::max(); }

   private:
    friend class DeadlineSweep;
    DeadlineSweep& sweep_;
    Entry* next_ = nullptr;
    Entry* previous_ = nullptr;
    Instant deadline_ = Instant::max();
    Expired expired_;
    void* owner_;
  };

  // `clock` must outlive it; entries must not. The timer runs, and keeps io_context::run() alive,
  // only while there are entries.
  DeadlineSweep(Executor executor, const Clock& clock, Duration tick = milliseconds{100});
  ~DeadlineSweep();
  DeadlineSweep(const DeadlineSweep&) = delete;
  DeadlineSweep& operator=(const DeadlineSweep&) = delete;

 private:
  void start();
  void sweep();
  Instant counted_now() const { return clock_.now() - lost_; }

  const Clock& clock_;
  Duration tick_;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      timer_;
  Entry* first_ = nullptr;
  Entry* cursor_ = nullptr;  // the entry that the sweep looks at next
  bool running_ = false;
  Instant due_{};             // of the sweep to come
  Duration lost_{};           // the event loop's lateness so far, not counted
  bool gave_a_turn_ = false;  // the last sweep was put off
  std::shared_ptr<DeadlineSweep*> alive_ = std::make_shared<DeadlineSweep*>(this);
};

}  // namespace perigee::net
