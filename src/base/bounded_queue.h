// BoundedQueue: the one way values pass between threads. A ring of fixed capacity: any number of
// producers that never wait, one consumer that may.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/instant.h"

namespace perigee {

// Each cell carries a sequence number that says whose turn it is (Vyukov's bounded queue), so that
// a push is one compare-exchange and a move. A producer touches the mutex only when the consumer is
// asleep. Values left at destruction are destroyed.
template <class T>
class BoundedQueue {
 public:
  // `capacity` is rounded up to a power of two. All memory is taken here.
  explicit BoundedQueue(std::size_t capacity)
      : capacity_(round_up(capacity)),
        turns_(std::make_unique<std::atomic<std::size_t>[]>(capacity_)),
        values_(std::make_unique<std::optional<T>[]>(capacity_)) {
    for (std::size_t i = 0; i < capacity_; ++i) turns_[i].store(i, std::memory_order_relaxed);
  }
  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  std::size_t capacity() const { return capacity_; }

  // Any thread. False when full or closed; `value` is then untouched. Never waits.
  bool try_push(T&& value) {
    if (closed_.load(std::memory_order_acquire)) return false;
    std::size_t place = tail_.load(std::memory_order_relaxed);
    for (;;) {
      const std::size_t turn = turns_[place & (capacity_ - 1)].load(std::memory_order_acquire);
      const auto ahead = static_cast<std::ptrdiff_t>(turn - place);
      if (ahead < 0) return false;
      if (ahead > 0) {
        place = tail_.load(std::memory_order_relaxed);
      } else if (tail_.compare_exchange_weak(place, place + 1, std::memory_order_relaxed)) {
        break;
      }
    }
    values_[place & (capacity_ - 1)].emplace(std::move(value));
    turns_[place & (capacity_ - 1)].store(place + 1, std::memory_order_release);
    wake_if_asleep();
    return true;
  }

  // The consumer only. Nothing when empty.
  std::optional<T> try_pop() {
    const std::size_t cell = head_ & (capacity_ - 1);
    if (!has_value()) return std::nullopt;
    std::optional<T> value = std::move(values_[cell]);
    values_[cell].reset();
    turns_[cell].store(head_ + capacity_, std::memory_order_release);
    ++head_;
    return value;
  }

  // The consumer only. Waits until there is a value (true) or the queue is closed and empty
  // (false).
  bool wait_for_value() {
    if (has_value()) return true;
    std::unique_lock lock{mutex_};
    // Either this exchange reads a producer's, and has_value() sees its value, or the producer's
    // reads this one, and it notifies. Repeated at every look: the producer that woke us may have
    // filled a later cell than the one we wait for.
    wake_.wait(lock, [this] {
      asleep_.exchange(true, std::memory_order_acq_rel);
      return has_value() || closed_.load(std::memory_order_acquire);
    });
    asleep_.exchange(false, std::memory_order_acq_rel);
    return has_value();
  }

  // The consumer only. Waits for `at_most`, whatever arrives, so that values gather into a batch;
  // true at once when the queue is closed.
  bool wait_for_close(Duration at_most) {
    std::unique_lock lock{mutex_};
    return wake_.wait_for(lock, at_most,
                          [this] { return closed_.load(std::memory_order_acquire); });
  }

  // Any thread. Later pushes are refused; the consumer still gets what is queued.
  void close() {
    const std::scoped_lock lock{mutex_};
    closed_.store(true, std::memory_order_release);
    wake_.notify_all();
  }

 private:
  static std::size_t round_up(std::size_t capacity) {
    std::size_t power = 2;
    while (power < capacity) power *= 2;
    return power;
  }
  bool has_value() const {
    return turns_[head_ & (capacity_ - 1)].load(std::memory_order_acquire) == head_ + 1;
  }
  void wake_if_asleep() {
    if (!asleep_.exchange(false, std::memory_order_acq_rel)) return;
    const std::scoped_lock lock{mutex_};
    wake_.notify_all();
  }

  const std::size_t capacity_;
  std::unique_ptr<std::atomic<std::size_t>[]> turns_;
  std::unique_ptr<std::optional<T>[]> values_;
  alignas(64) std::atomic<std::size_t> tail_{0};  // producers
  alignas(64) std::size_t head_ = 0;              // the consumer
  alignas(64) std::atomic<bool> asleep_{false};
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace perigee
