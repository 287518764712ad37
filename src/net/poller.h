// Poller: readiness of non-blocking descriptors for coroutines on one io_context.
//
// Asio's own async_wait costs two system calls per wait; here a descriptor is registered once, edge
// triggered, in an epoll set of our own that Asio watches as one descriptor. So a wait costs none,
// and that a peer left is known without asking (`peer_closed`). IO thread only.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "net/task.h"

namespace perigee::net {

// The continuation of one suspended coroutine, kept in place, without allocation.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  Waiter(Waiter&& other) noexcept { take(other); }
  ~Waiter() { drop(); }

  template <class Handler>
  void hold(Handler handler) {
    static_assert(sizeof(Handler) <= kBytes && alignof(Handler) <= alignof(void*));
    static_assert(std::is_nothrow_move_constructible_v<Handler>);
    PERIGEE_ASSERT(act_ == nullptr);  // one waiter per descriptor
    new (static_cast<void*>(storage_.data())) Handler(std::move(handler));
    act_ = [](Action action, std::byte* from, std::byte* to) {
      Handler& held = *std::launder(reinterpret_cast<Handler*>(from));
      Handler moved{std::move(held)};
      held.~Handler();  // NOLINT(bugprone-use-after-move): what is moved from ends too
      if (action == Action::Move) {
        new (static_cast<void*>(to)) Handler(std::move(moved));
      } else if (action == Action::Resume) {
        std::move(moved)();
      }
    };
  }
  bool waiting() const { return act_ != nullptr; }
  // Runs the coroutine until it suspends again. It may destroy this object.
  void resume() { std::exchange(act_, nullptr)(Action::Resume, storage_.data(), nullptr); }
  // Destroys the coroutine, if one waits.
  void drop() {
    if (act_ != nullptr) std::exchange(act_, nullptr)(Action::Drop, storage_.data(), nullptr);
  }

 private:
  enum class Action : std::uint8_t { Resume, Move, Drop };
  static constexpr std::size_t kBytes = 48;
  void take(Waiter& other) {
    if (other.act_ == nullptr) return;
    act_ = std::exchange(other.act_, nullptr);
    act_(Action::Move, other.storage_.data(), storage_.data());
  }

  alignas(void*) std::array<std::byte, kBytes> storage_;
  void (*act_)(Action, std::byte* from, std::byte* to) = nullptr;
};

class Descriptor;

class Poller final : public asio::execution_context::service {
 public:
  using key_type = Poller;
  static asio::execution_context::id id;
  explicit Poller(asio::io_context& context);
  ~Poller() override;
  static Poller& of(Executor executor);

 private:
  friend class Descriptor;
  void shutdown() noexcept override;
  bool add(Descriptor& descriptor, std::uint32_t events);
  void modify(Descriptor& descriptor, std::uint32_t events);
  void remove(Descriptor& descriptor);
  // io_context::run() stays alive while something is held.
  void hold();
  void release();
  void arm();
  void dispatch();

  static constexpr int kEventsMax = 256;
  asio::io_context& context_;
  int epoll_fd_ = -1;
  asio::posix::basic_stream_descriptor<Executor> watched_;
  std::array<epoll_event, kEventsMax> events_{};
  int event_next_ = 0;
  int event_count_ = 0;
  Descriptor* current_ = nullptr;  // whose events are being told; null once it is destroyed
  Descriptor* first_ = nullptr;    // all registered
  std::size_t held_ = 0;
  bool armed_ = false;
  bool dispatching_ = false;
};

// An owned, registered descriptor with at most one waiting coroutine and one observer.
class Descriptor {
 public:
  enum Interest : std::uint8_t { Readable = 1, Writable = 2 };
  using Observer = void (*)(void* owner);

  explicit Descriptor(Executor executor) : poller_(Poller::of(executor)) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  // Takes ownership of a non-blocking descriptor. False when the kernel has no room for it.
  bool open(int fd);
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // Closes it; a waiting coroutine resumes from the event loop and finds it closed.
  void close();
  // Lets a waiting coroutine resume from the event loop, to look at what its owner changed.
  void wake();

  // Edge triggered: true until a read or write said "would block" (clear_*).
  bool readable() const { return ready_ & Readable; }
  bool writable() const { return ready_ & Writable; }
  bool peer_closed() const { return peer_closed_; }  // its end, half-closed or reset
  void clear_readable() { ready_ &= static_cast<std::uint8_t>(~Readable); }
  void clear_writable() { ready_ &= static_cast<std::uint8_t>(~Writable); }

  // Awaitable: resumes when one of `interest` is ready, on wake() and on close(). Ask for the state
  // afterwards; it may resume early.
  auto wait(std::uint8_t interest) {
    return asio::async_initiate<const asio::deferred_t, void()>(StartWait{this, interest},
                                                                asio::deferred);
  }

  // `observer(owner)` is called from the event loop after each event (and after a waiting coroutine
  // was resumed) until replaced. `keeps_alive`: io_context::run() does not return meanwhile.
  void observe(Observer observer, void* owner, bool keeps_alive);

 private:
  friend class Poller;
  struct StartWait {
    Descriptor* self;
    std::uint8_t interest;
    template <class Handler>
    void operator()(Handler&& handler) const {
      self->begin_wait(interest);
      self->waiter_.hold(std::forward<Handler>(handler));
      if (!self->is_open()) self->wake();
    }
  };
  void begin_wait(std::uint8_t interest);
  void on_events(std::uint32_t events);

  Poller& poller_;
  Descriptor* next_ = nullptr;
  Descriptor** previous_ = nullptr;  // the pointer that points here
  Waiter waiter_;
  Observer observer_ = nullptr;
  void* owner_ = nullptr;
  int fd_ = -1;
  std::uint8_t ready_ = 0;
  std::uint8_t interest_ = 0;
  bool peer_closed_ = false;
  bool write_events_ = false;
  bool observer_holds_ = false;
};

}  // namespace perigee::net
