#include "site/drain.h"

#include <utility>

#include "base/log.h"

namespace perigee {
namespace {

constexpr Duration kRepeat = seconds{1};

}  // namespace

Drain::Drain(Executor executor, Duration grace, std::function<void()> leave)
    : grace_(grace), leave_(std::move(leave)), timer_(executor) {}
Drain::~Drain() = default;

void Drain::set(bool drained) {
  if (drained == drained_) return;
  drained_ = drained;
  timer_.cancel();
  if (drained) {
    log::info("draining: takes no new work", {{"grace_ms", to_ms(grace_)}});
    leave_after(grace_);
  } else {
    log::info("drained no more: takes work again", {});
  }
}

void Drain::leave_after(Duration time) {
  timer_.expires_after(time);
  // A wait that is over may already be queued when this is destroyed or turned off.
  timer_.async_wait([alive = std::weak_ptr{alive_}](boost::system::error_code cancelled) {
    const std::shared_ptr<Drain*> self = alive.lock();
    if (cancelled || self == nullptr || !(*self)->drained_) return;
    (*self)->leave_();
    (*self)->leave_after(kRepeat);
  });
}

}  // namespace perigee
