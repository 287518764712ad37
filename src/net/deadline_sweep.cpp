#include "net/deadline_sweep.h"

#include <utility>

#include "base/assert.h"

namespace perigee::net {

DeadlineSweep::Entry::Entry(DeadlineSweep& sweep, Expired expired, void* owner)
    : sweep_(sweep), next_(sweep.first_), expired_(expired), owner_(owner) {
  if (next_ != nullptr) next_->previous_ = this;
  sweep.first_ = this;
  if (!sweep.running_) sweep.start();
}

DeadlineSweep::Entry::~Entry() {
  if (sweep_.cursor_ == this) sweep_.cursor_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  (previous_ != nullptr ? previous_->next_ : sweep_.first_) = next_;
  if (sweep_.first_ == nullptr && sweep_.running_) {
    sweep_.running_ = false;
    sweep_.timer_.cancel();
  }
}

void DeadlineSweep::Entry::expire_after(Duration duration) {
  deadline_ = sweep_.counted_now() + duration;
}

DeadlineSweep::DeadlineSweep(Executor executor, const Clock& clock, Duration tick)
    : clock_(clock), tick_(tick), timer_(executor) {}

DeadlineSweep::~DeadlineSweep() { PERIGEE_ASSERT(first_ == nullptr); }

void DeadlineSweep::start() {
  running_ = true;
  due_ = clock_.now() + tick_;
  timer_.expires_after(tick_);
  // A wait that is over may already be queued when it is cancelled or the sweep destroyed: it comes
  // without an error then.
  timer_.async_wait([alive = std::weak_ptr{alive_}](boost::system::error_code error) {
    const std::shared_ptr<DeadlineSweep*> sweep = alive.lock();
    if (!error && sweep != nullptr) (*sweep)->sweep();
  });
}

void DeadlineSweep::sweep() {
  const Duration late = clock_.now() - due_ - tick_;
  if (late > Duration::zero()) {
    lost_ += late;
    if (!std::exchange(gave_a_turn_, true)) return start();  // to read what has come
  }
  gave_a_turn_ = false;
  const Instant now = counted_now();
  cursor_ = first_;
  while (cursor_ != nullptr) {
    Entry& entry = *cursor_;
    cursor_ = entry.next_;
    if (entry.deadline_ > now) continue;
    entry.deadline_ = Instant::max();
    entry.expired_(entry.owner_);
  }
  if (first_ != nullptr)
    start();
  else
    running_ = false;
}

}  // namespace perigee::net
