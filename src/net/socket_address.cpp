#include "net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace perigee::net {
namespace {

template <class T>
SocketAddress store(const T& address) {
  SocketAddress out;
  std::memcpy(&out.storage, &address, sizeof address);
  out.size = sizeof address;
  return out;
}

Error failed(const Endpoint& endpoint, const std::string& doing) {
  return Error{Code::FailedPrecondition,
               "can't " + doing + " " + endpoint.to_string() + ": " + std::strerror(errno)};
}

bool answers(const SocketAddress& address) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  const int result = ::connect(fd, address.get(), address.size);
  const bool answered = result == 0 || errno == EAGAIN || errno == EINPROGRESS;
  ::close(fd);
  return answered;
}

// Binds; if a file is in the way and nothing answers behind it, replaces it.
Result<> bind_unix(int fd, const Endpoint& endpoint, const SocketAddress& address) {
  if (::bind(fd, address.get(), address.size) == 0) return {};
  if (errno != EADDRINUSE) return failed(endpoint, "listen on");
  struct stat file{};
  if (::lstat(endpoint.path.c_str(), &file) == 0 && !S_ISSOCK(file.st_mode)) {
    return Error{Code::FailedPrecondition,
                 endpoint.path + " exists and is not a socket: choose another path"};
  }
  if (answers(address)) {
    return Error{Code::FailedPrecondition, "another process listens on " + endpoint.to_string() +
                                               ": stop it or choose another path"};
  }
  ::unlink(endpoint.path.c_str());
  if (::bind(fd, address.get(), address.size) != 0) return failed(endpoint, "listen on");
  return {};
}

Result<> bind_tcp(int fd, const Endpoint& endpoint, const SocketAddress& address) {
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, address.get(), address.size) == 0) return {};
  if (errno == EADDRINUSE) {
    return Error{Code::FailedPrecondition, "another process listens on " + endpoint.to_string() +
                                               ": stop it or choose another port"};
  }
  return failed(endpoint, "listen on");
}

void learn_port(int fd, Endpoint& endpoint) {
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size);
  if (bound.storage.ss_family == AF_INET) {
    endpoint.port = ntohs(reinterpret_cast<const sockaddr_in*>(&bound.storage)->sin_port);
  } else if (bound.storage.ss_family == AF_INET6) {
    endpoint.port = ntohs(reinterpret_cast<const sockaddr_in6*>(&bound.storage)->sin6_port);
  }
}

}  // namespace

Result<std::optional<SocketAddress>> literal_address(const Endpoint& endpoint) {
  if (endpoint.is_unix()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (endpoint.path.size() >= sizeof address.sun_path) {
      return Error{Code::InvalidArgument,
                   "the Unix socket path " + endpoint.path + " is too long: at most " +
                       std::to_string(sizeof address.sun_path - 1) + " bytes"};
    }
    std::memcpy(address.sun_path, endpoint.path.c_str(), endpoint.path.size() + 1);
    return std::optional{store(address)};
  }
  const std::string host = endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(endpoint.port);
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) return std::optional{store(v4)};
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) return std::optional{store(v6)};
  return std::optional<SocketAddress>{};
}

bool is_loopback(const SocketAddress& address) {
  switch (address.storage.ss_family) {
    case AF_INET: {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
      return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    case AF_INET6: {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
      return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) != 0;
    }
    default: return true;
  }
}

std::string remote_address(int fd) {
  SocketAddress peer;
  peer.size = sizeof peer.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size) != 0) return {};
  Endpoint endpoint;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (peer.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer.storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    endpoint.port = ntohs(v4->sin_port);
  } else if (peer.storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer.storage);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) != 0;
    const void* from = mapped ? static_cast<const void*>(&v6->sin6_addr.s6_addr[12])
                              : static_cast<const void*>(&v6->sin6_addr);
    ::inet_ntop(mapped ? AF_INET : AF_INET6, from, text.data(), text.size());
    endpoint.port = ntohs(v6->sin6_port);
  } else {
    return {};
  }
  endpoint.host = text.data();
  return endpoint.to_string();
}

Result<int> listen_on(Endpoint& endpoint) {
  PERIGEE_TRY(address, literal_address(endpoint));
  if (!address) {
    return Error{Code::InvalidArgument, "can't listen on " + endpoint.to_string() +
                                            ": give an IP address, localhost or unix:PATH"};
  }
  const int fd =
      ::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed(endpoint, "listen on");
  Result<> bound =
      endpoint.is_unix() ? bind_unix(fd, endpoint, *address) : bind_tcp(fd, endpoint, *address);
  if (bound && endpoint.is_unix() && ::chmod(endpoint.path.c_str(), 0600) != 0) {
    bound = failed(endpoint, "protect");
  }
  if (bound && ::listen(fd, SOMAXCONN) != 0) bound = failed(endpoint, "listen on");
  if (!bound) {
    ::close(fd);
    return std::move(bound).error();
  }
  if (!endpoint.is_unix()) learn_port(fd, endpoint);
  return fd;
}

int start_connect(const SocketAddress& address, int& error) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  error = 0;
  if (fd < 0) {
    error = errno;
    return -1;
  }
  if (address.storage.ss_family != AF_UNIX) disable_delay(fd);
  if (::connect(fd, address.get(), address.size) != 0) error = errno;
  return fd;
}

int connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

void disable_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace perigee::net
