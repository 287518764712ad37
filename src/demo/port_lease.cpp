#include "demo/port_lease.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace perigee::demo {

Result<PortLease> PortLease::take(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return Error{Code::ResourceExhausted, fmt::format("no socket left: {}", std::strerror(errno))};
  }
  PortLease lease{fd, 0};
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* raw = std::bit_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(fd, raw, size) != 0 || ::getsockname(fd, raw, &size) != 0) {
    return Error{Code::FailedPrecondition,
                 fmt::format("port {} on loopback is taken ({}); choose another with --ports", port,
                             std::strerror(errno))};
  }
  lease.port_ = ntohs(address.sin_port);
  return lease;
}

PortLease::PortLease(PortLease&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), port_(other.port_) {}

PortLease& PortLease::operator=(PortLease&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(port_, other.port_);
  return *this;
}

PortLease::~PortLease() {
  if (socket_ >= 0) ::close(socket_);
}

}  // namespace perigee::demo
