// Notifier: lets one coroutine wait until other code on the same IO thread says "look again".
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "net/poller.h"
#include "net/task.h"

namespace perigee::net {

// At most one waiter. A notify() without a waiter is kept, and several collapse into one: the
// waiter re-reads the state it waits for. The waiter resumes from the event loop, never inside
// notify(). Destroying the Notifier while a coroutine waits destroys that coroutine.
class Notifier {
 public:
  explicit Notifier(Executor executor) : executor_(executor) {}
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  void notify() {
    if (!waiter_.waiting()) {
      notified_ = true;
      return;
    }
    asio::post(executor_, [waiter = std::move(waiter_)]() mutable { waiter.resume(); });
  }

  // Awaitable: resumes once notified, also when that was before the wait. Costs no allocation.
  auto wait() {
    return asio::async_initiate<const asio::deferred_t, void()>(StartWait{this}, asio::deferred);
  }

 private:
  struct StartWait {
    Notifier* self;
    template <class Handler>
    void operator()(Handler&& handler) const {
      self->waiter_.hold(std::forward<Handler>(handler));
      if (std::exchange(self->notified_, false)) self->notify();
    }
  };

  Executor executor_;
  Waiter waiter_;
  bool notified_ = false;
};

}  // namespace perigee::net
