// VitalTask: ends the process when a task that it can't go on without has ended by an exception.
#pragma once

#include <exception>
#include <string>

namespace perigee::net {

// The handler that co_spawn() gets with a task that runs as long as its owner does:
//
//   asio::co_spawn(executor, follow(state), net::VitalTask{"following control"});
//
// What can be expected reaches such a task as a Result. An exception is a defect or a want of
// memory, and without the task the process would only look alive: a site that no longer follows
// control serves keys that were revoked. So a line says what happened, and the process aborts for
// its supervisor to start it again: systemd, or the site whose engine it is. Not for a task of one
// request or one connection, which ends by itself alone.
struct VitalTask {
  const char* what;  // it does, for the log

  void operator()(const std::exception_ptr& thrown) const noexcept;
};

// For the log: what() of an exception. Not null.
std::string text_of(const std::exception_ptr& thrown);

}  // namespace perigee::net
