#include "gateway/ticker.h"

namespace perigee {

Ticker::Ticker(Executor executor, const Clock& clock, Duration interval)
    : clock_(clock), interval_(interval), timer_(executor) {
  schedule();
}

Ticker::~Ticker() = default;

void Ticker::schedule() {
  timer_.expires_after(interval_);
  // A wait that is over may already be queued when this is destroyed: it comes without an error.
  timer_.async_wait([alive = std::weak_ptr{alive_}](boost::system::error_code error) {
    const std::shared_ptr<Ticker*> ticker = alive.lock();
    if (!error && ticker != nullptr) (*ticker)->tick();
  });
}

void Ticker::tick() {
  const Instant now = clock_.now();
  for (Registration* registration : registrations_) registration->stream_.tick(now);
  schedule();
}

Ticker::Registration::Registration(Ticker& ticker, EventStream& stream)
    : ticker_(ticker), stream_(stream), place_(ticker.registrations_.size()) {
  ticker_.registrations_.push_back(this);
}

Ticker::Registration::~Registration() {
  Registration* last = ticker_.registrations_.back();
  last->place_ = place_;
  ticker_.registrations_[place_] = last;
  ticker_.registrations_.pop_back();
}

}  // namespace perigee
