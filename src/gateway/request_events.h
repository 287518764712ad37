// RequestEvents: the one thing that a request's coroutine waits on: engines have yielded something,
// the client has left, an instant has come. It re-reads all of them after each wake-up.
#pragma once

#include "base/instant.h"
#include "gateway/ticker.h"
#include "net/notifier.h"

namespace perigee {

class RequestEvents {
 public:
  RequestEvents(Executor executor, Ticker& ticker)
      : notifier_(executor), ticking_(ticker, notifier_) {}

  auto wait() { return notifier_.wait(); }
  void notify() { notifier_.notify(); }
  void client_left() {
    left_ = true;
    notifier_.notify();
  }
  bool left() const { return left_; }
  void wake_at(Instant when) { ticking_.wake_at(when); }

 private:
  net::Notifier notifier_;
  Ticker::Registration ticking_;
  bool left_ = false;
};

}  // namespace perigee
