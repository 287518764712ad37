// Drain: how a site that an operator drains gets empty. The router plans nothing for its engines,
// what runs on them may go on for `grace`, and what is left then is made to go on elsewhere. It
// stays an ingress.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "net/task.h"

namespace perigee {

// IO thread.
class Drain {
 public:
  // `leave` sends what runs here elsewhere (Inference::leave_local_engines): called when the grace
  // is over, and then every second, for what slipped in.
  Drain(Executor executor, Duration grace, std::function<void()> leave);
  ~Drain();
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  void set(bool drained);  // on, and off again
  bool drained() const { return drained_; }

 private:
  void leave_after(Duration time);
  Duration grace_;
  std::function<void()> leave_;
  bool drained_ = false;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      timer_;
  std::shared_ptr<Drain*> alive_ = std::make_shared<Drain*>(this);
};

}  // namespace perigee
