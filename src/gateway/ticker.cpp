#include "gateway/ticker.h"

#include <algorithm>

namespace perigee {

Ticker::Ticker(Executor executor, const Clock& clock, Duration interval)
    : clock_(clock), interval_(interval), timer_(executor), next_(Instant::max()) {
  schedule(clock_.now());
}

Ticker::~Ticker() = default;

void Ticker::schedule(Instant now) {
  next_ = std::clamp(next_, now + kResolution, now + interval_);
  timer_.expires_after(next_ - now);
  // A wait that is over may already be queued when this is destroyed: it comes without an error.
  timer_.async_wait([alive = std::weak_ptr{alive_}](boost::system::error_code error) {
    const std::shared_ptr<Ticker*> ticker = alive.lock();
    if (!error && ticker != nullptr) (*ticker)->tick();
  });
}

void Ticker::wake_at(std::size_t place, Instant when) {
  entries_[place].when = when;
  if (when >= next_) return;
  const Instant now = clock_.now();
  if (next_ <= now + kResolution) return;  // it fires as soon as it may
  next_ = when;
  schedule(now);
}

void Ticker::tick() {
  const Instant now = clock_.now();
  next_ = Instant::max();
  for (Entry& entry : entries_) {
    if (entry.when <= now) {
      entry.when = Instant::max();
      entry.owner->notifier_.notify();
    }
    next_ = std::min(next_, entry.when);
  }
  schedule(now);
}

Ticker::Registration::Registration(Ticker& ticker, net::Notifier& notifier)
    : ticker_(ticker), notifier_(notifier), place_(ticker.entries_.size()) {
  ticker_.entries_.push_back({.owner = this});
}

Ticker::Registration::~Registration() {
  Entry& last = ticker_.entries_.back();
  last.owner->place_ = place_;
  ticker_.entries_[place_] = last;
  ticker_.entries_.pop_back();
}

}  // namespace perigee
