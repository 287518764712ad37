// PortLease: a loopback TCP port that nobody else will be given while it is held, for a process
// that is about to listen there. The lease binds the port and never listens; Linux lets another
// socket with SO_REUSEADDR bind it too and listen, but gives it to nobody who asks for "any port".
#pragma once

#include <cstdint>

#include "base/result.h"

namespace perigee::demo {

class PortLease {
 public:
  // Port 0: any. FailedPrecondition when the port is taken.
  static Result<PortLease> take(std::uint16_t port);
  PortLease(PortLease&& other) noexcept;
  PortLease& operator=(PortLease&& other) noexcept;
  ~PortLease();
  std::uint16_t port() const { return port_; }

 private:
  PortLease(int socket, std::uint16_t port) : socket_(socket), port_(port) {}
  int socket_;
  std::uint16_t port_;
};

}  // namespace perigee::demo
