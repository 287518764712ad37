// SocketAddress: an Endpoint as the kernel takes it, and the system calls that make sockets of it.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "net/endpoint.h"

namespace perigee::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Literal IP addresses, "localhost" (127.0.0.1) and Unix paths; nullopt for names to be resolved.
// A Unix path too long for the kernel is InvalidArgument.
Result<std::optional<SocketAddress>> literal_address(const Endpoint& endpoint);
bool is_loopback(const SocketAddress& address);
// Who is at the other end of a connected TCP socket: "192.0.2.7:51234", "[2001:db8::7]:51234";
// empty when that is not known any more.
std::string remote_address(int fd);

// A bound, listening, non-blocking socket; `endpoint` gets the port chosen for port 0. A Unix
// socket gets mode 0600. FailedPrecondition when the address is in use; a Unix socket's stale file
// is replaced.
Result<int> listen_on(Endpoint& endpoint);
// A non-blocking socket whose connect was started. `error` is 0, EINPROGRESS or an errno.
int start_connect(const SocketAddress& address, int& error);
// The outcome of a started connect once it is writable: 0 or an errno.
int connect_error(int fd);
void disable_delay(int fd);  // TCP_NODELAY; ignored by Unix sockets

}  // namespace perigee::net
