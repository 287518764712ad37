#include "net/server_core.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/log.h"
#include "net/server_connection.h"
#include "net/socket_address.h"
#include "net/vital_task.h"

namespace perigee::net {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr int kHandshakeStepsPerTurn = 1;
constexpr Duration kWarnAfter = milliseconds{100};
constexpr Duration kRetryAfter = milliseconds{100};
constexpr Duration kDrainLook = milliseconds{20};
constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 113\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\n"
    R"({"error":{"message":"too many connections: repeat later","type":"server_error",)"
    R"("param":null,"code":"overloaded"}})";

int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

struct ServerCore::Listener {
  Listener(ServerCore& core_in, const Endpoint& endpoint_in)
      : core(core_in), endpoint(endpoint_in), descriptor(core_in.executor) {}
  ~Listener() {
    // Only our own socket file: another process may have replaced it.
    struct stat now{};
    if (endpoint.is_unix() && ::lstat(endpoint.path.c_str(), &now) == 0 && now.st_ino == inode) {
      ::unlink(endpoint.path.c_str());
    }
  }
  ServerCore& core;
  Endpoint endpoint;
  Descriptor descriptor;
  ino_t inode = 0;
};

ServerCore::ServerCore(Executor executor_in, const Clock& clock_in, ServerLimits limits_in,
                       Handler handler_in)
    : executor(executor_in),
      clock(clock_in),
      limits(limits_in),
      head_limits{limits_in.head_bytes_max, limits_in.headers_max},
      handler(std::move(handler_in)),
      sweep(executor_in, clock_in),
      retry_timer_(executor_in),
      drained_(executor_in),
      spare_fd_(open_spare()) {}

ServerCore::~ServerCore() {
  if (spare_fd_ >= 0) ::close(spare_fd_);
}

Result<Endpoint> ServerCore::listen(Endpoint endpoint) {
  PERIGEE_TRY(fd, listen_on(endpoint));
  auto listener = std::make_unique<Listener>(*this, endpoint);
  struct stat file{};
  if (endpoint.is_unix() && ::lstat(endpoint.path.c_str(), &file) == 0)
    listener->inode = file.st_ino;
  if (!listener->descriptor.open(fd)) {
    return Error{Code::ResourceExhausted,
                 "can't watch " + endpoint.to_string() + ": " + std::strerror(errno)};
  }
  listener->descriptor.observe(
      [](void* owner) {
        auto* self = static_cast<Listener*>(owner);
        self->core.accept_from(*self);
      },
      listener.get(), true);
  listeners_.push_back(std::move(listener));
  return endpoint;
}

void ServerCore::stop_listening() {
  draining_ = true;
  retry_timer_.cancel();
  listeners_.clear();
}

void ServerCore::accept_from(Listener& listener) {
  for (int count = 0; count < kAcceptsPerTurn; ++count) {
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    const int fd = ::accept4(listener.descriptor.fd(), reinterpret_cast<sockaddr*>(&peer.storage),
                             &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      const bool is_unix = listener.endpoint.is_unix();
      if (!is_unix) disable_delay(fd);
      take(fd, is_unix || is_loopback(peer), is_unix);
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EMFILE || errno == ENFILE) {
      refuse_for_want_of_descriptors(listener);
      return retry_later();
    }
    if (errno == ENOBUFS || errno == ENOMEM) return retry_later();
    // ECONNABORTED and the like: that connection is gone, look at the next.
  }
  asio::post(executor, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      for (const auto& each : self->listeners_) self->accept_from(*each);
    }
  });
}

void ServerCore::take(int fd, bool loopback, bool is_unix) {
  if (connections_.size() >= limits.connections_max && !close_an_idle_one()) {
    // Best effort: the socket of a fresh connection has room for it.
    ::send(fd, kFull.data(), kFull.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ::shutdown(fd, SHUT_WR);
    ::recv(fd, scratch.get(), kScratchBytes, MSG_DONTWAIT);
    ::close(fd);
    return;
  }
  auto connection = std::make_shared<ServerConnection>(shared_from_this(), loopback);
  if (!connection->open(fd)) return;
  auto life = tls != nullptr && !is_unix ? ServerConnection::greet_and_serve(std::move(connection))
                                         : ServerConnection::serve(std::move(connection));
  asio::co_spawn(executor, std::move(life), [](const std::exception_ptr& thrown) {
    if (thrown == nullptr) return;
    log::error("a connection ended by an exception: a defect", {{"exception", text_of(thrown)}});
  });
}

// Whoever holds connections that it does not use keeps nobody out. The search goes round, a few at
// a time, so that a flood while all are busy costs little.
bool ServerCore::close_an_idle_one() {
  constexpr std::size_t kLooksMax = 256;
  const std::size_t looks = std::min(connections_.size(), kLooksMax);
  for (std::size_t looked = 0; looked < looks; ++looked) {
    idle_cursor_ = (idle_cursor_ + 1) % connections_.size();
    ServerConnection* connection = connections_[idle_cursor_];
    if (!connection->idle()) continue;
    connection->cut();
    return true;
  }
  return false;
}

void ServerCore::refuse_for_want_of_descriptors(Listener& listener) {
  if (spare_fd_ >= 0) {
    ::close(spare_fd_);
    const int fd = ::accept4(listener.descriptor.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) ::close(fd);
    spare_fd_ = open_spare();
  }
  if (const Instant now = clock.now(); warned_ == Instant::min() || now - warned_ > seconds{1}) {
    warned_ = now;
    log::warning("no file descriptor left: connections are refused; raise the limit (ulimit -n)",
                 {{"connections", static_cast<std::uint64_t>(connections_.size())}});
  }
}

// The listening socket's edge is spent: look again by the clock, until accept works.
void ServerCore::retry_later() {
  if (std::exchange(retrying_, true)) return;
  retry_timer_.expires_after(kRetryAfter);
  retry_timer_.async_wait([weak = weak_from_this()](boost::system::error_code) {
    const auto self = weak.lock();
    if (!self) return;
    self->retrying_ = false;
    for (const auto& listener : self->listeners_) self->accept_from(*listener);
  });
}

void ServerCore::add(ServerConnection& connection) {
  connection.index = connections_.size();
  connections_.push_back(&connection);
}

void ServerCore::remove(ServerConnection& connection) {
  ServerConnection* last = connections_.back();
  last->index = connection.index;
  connections_[connection.index] = last;
  connections_.pop_back();
}

bool ServerCore::busy() const {
  return std::ranges::any_of(
      connections_, [](const ServerConnection* connection) { return !connection->idle(); });
}

void ServerCore::cut_members(const std::function<bool(std::string_view)>& refused) {
  for (ServerConnection* connection : connections_) {
    const std::string_view member = connection->member();
    if (!member.empty() && refused(member)) connection->cut();
  }
}

void ServerCore::warn_of_handshake(const std::string& why) {
  const Instant now = clock.now();
  if (why.empty()) return;  // it just left
  if (handshake_warned_ != Instant::min() && now - handshake_warned_ < kWarnAfter) return;
  handshake_warned_ = now;
  log::warning("a TLS handshake failed", {{"error", why}});
}

Task<void> ServerCore::handshake_turn() {
  while (handshake_steps_ >= kHandshakeStepsPerTurn) {
    co_await asio::post(executor, asio::deferred);
  }
  if (handshake_steps_++ > 0) co_return;
  asio::post(executor, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->handshake_steps_ = 0;
  });
}

void ServerCore::close_all() {
  for (ServerConnection* connection : connections_) connection->cut();
}

void ServerCore::close_idle_ones() {
  for (ServerConnection* connection : connections_) {
    if (connection->idle()) connection->cut();
  }
}

Task<void> ServerCore::shut_down(std::shared_ptr<ServerCore> self, Duration grace,
                                 Duration at_most) {
  self->stop_listening();
  const Instant now = self->clock.now();
  self->serve_until_ = std::min(self->serve_until_, now + grace);
  self->drain_until_ = std::min(self->drain_until_, now + at_most);
  while (self->busy() && self->clock.now() < self->drain_until_) {
    if (!self->closing_ && self->clock.now() >= self->serve_until_) {
      self->closing_ = true;
      self->close_idle_ones();
    }
    self->drained_.expires_after(kDrainLook);
    auto waited = co_await self->drained_.async_wait(kAwait);
    static_cast<void>(waited);
  }
  self->close_all();
}

std::string_view ServerCore::date_line() {
  const std::int64_t second = clock.wall().micros / 1'000'000;
  if (second != date_second_) {
    date_second_ = second;
    const auto time = static_cast<std::time_t>(second);
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[64];
    const std::size_t n =
        std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    date_.assign(text, n);
  }
  return date_;
}

}  // namespace perigee::net
