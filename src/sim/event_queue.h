// EventQueue: what happens next in virtual time. Events of one instant come in the order in which
// they were added, so that a run is the same everywhere. A four-ary heap of small values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace perigee::sim {

// Nanoseconds since the start of the run.
using Nanos = std::int64_t;
inline constexpr Nanos kNever = INT64_MAX;

inline Nanos nanos_from_ms(double ms) { return static_cast<Nanos>(ms * 1e6 + 0.5); }
inline Nanos nanos_from_s(double s) { return static_cast<Nanos>(s * 1e9 + 0.5); }
inline double ms_from_nanos(Nanos t) { return static_cast<double>(t) * 1e-6; }

struct Event {
  Nanos at = 0;
  std::uint64_t order = 0;  // sequence number * 16 + kind
  std::uint32_t a = 0;
  std::uint32_t b = 0;

  std::uint32_t kind() const { return static_cast<std::uint32_t>(order & 15); }
};

class EventQueue {
 public:
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  const Event& top() const { return heap_.front(); }
  // `kind` is below 16.
  void push(Nanos at, std::uint32_t kind, std::uint32_t a, std::uint32_t b);
  Event pop();

 private:
  static bool before(const Event& x, const Event& y) {
    return x.at != y.at ? x.at < y.at : x.order < y.order;
  }
  std::vector<Event> heap_;
  std::uint64_t sequence_ = 0;
};

inline void EventQueue::push(Nanos at, std::uint32_t kind, std::uint32_t a, std::uint32_t b) {
  const Event fresh{.at = at, .order = (sequence_++ << 4) | kind, .a = a, .b = b};
  std::size_t hole = heap_.size();
  heap_.push_back(fresh);
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / 4;
    if (!before(fresh, heap_[parent])) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = fresh;
}

inline Event EventQueue::pop() {
  const Event first = heap_.front();
  const Event last = heap_.back();
  heap_.pop_back();
  const std::size_t size = heap_.size();
  if (size == 0) return first;
  std::size_t hole = 0;
  for (;;) {
    const std::size_t child = hole * 4 + 1;
    if (child >= size) break;
    std::size_t least = child;
    const std::size_t end = child + 4 < size ? child + 4 : size;
    for (std::size_t i = child + 1; i < end; ++i) {
      if (before(heap_[i], heap_[least])) least = i;
    }
    if (!before(heap_[least], last)) break;
    heap_[hole] = heap_[least];
    hole = least;
  }
  heap_[hole] = last;
  return first;
}

}  // namespace perigee::sim
