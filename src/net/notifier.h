// Notifier: lets one coroutine wait until other code on the same IO thread says "look again".
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

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
    if (waiter_ == nullptr) {
      notified_ = true;
      return;
    }
    std::unique_ptr<Waiter> waiter = std::move(waiter_);
    asio::post(executor_, [waiter = std::move(waiter)]() mutable { waiter->resume(); });
  }

  // Returns at once when notified since the last wait().
  Task<> wait() {
    if (std::exchange(notified_, false)) co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
        [this](auto handler) {
          waiter_ = std::make_unique<HandlerWaiter<decltype(handler)>>(std::move(handler));
        },
        kToken);
  }

 private:
  static constexpr asio::use_awaitable_t<Executor> kToken{};

  struct Waiter {
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;
    virtual void resume() = 0;
  };
  template <class Handler>
  struct HandlerWaiter final : Waiter {
    explicit HandlerWaiter(Handler h) : handler(std::move(h)) {}
    void resume() override { std::move(handler)(); }
    Handler handler;
  };

  Executor executor_;
  std::unique_ptr<Waiter> waiter_;
  bool notified_ = false;
};

}  // namespace perigee::net
