#include "net/client_connection.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "net/name_lookup.h"

namespace perigee::net {

ClientConnection::ClientConnection(std::shared_ptr<ClientCore> core_in, const Endpoint& endpoint_in)
    : core(std::move(core_in)),
      endpoint(endpoint_in),
      socket(core->executor),
      deadline(
          core->sweep, [](void* self) { static_cast<ClientConnection*>(self)->expired(); }, this) {}

void ClientConnection::watch(Abort* switch_in) {
  if (abort != nullptr) abort->connection_ = nullptr;
  abort = switch_in;
  if (abort == nullptr) return;
  abort->connection_ = this;
  abort->close_ = [](void* connection) {
    auto* self = static_cast<ClientConnection*>(connection);
    self->aborted = true;
    self->socket.close();
  };
}

void Abort::abort() {
  aborted_ = true;
  if (connection_ != nullptr) close_(connection_);
}

void Abort::abort_unanswered() {
  const auto* connection = static_cast<const ClientConnection*>(connection_);
  if (connection == nullptr || !connection->heard) abort();
}

void ClientConnection::expired() {
  if (idle) return core->drop_idle(*this);  // destroys this
  timed_out = true;
  socket.descriptor().wake();
}

Result<> ClientConnection::check(std::string_view doing) {
  if (aborted) return Error{Code::Cancelled, "the exchange was aborted"};
  if (!timed_out) return {};
  return Error{Code::DeadlineExceeded,
               endpoint.to_string() + " took too long while " + std::string{doing}};
}

Error ClientConnection::lost(std::string_view doing, int error) const {
  if (aborted) return Error{Code::Cancelled, "the exchange was aborted"};
  std::string why = error == 0 ? std::string{"connection closed"} : std::strerror(error);
  const TlsStream* secured = const_cast<StreamSocket&>(socket).tls();
  if (secured != nullptr && !secured->failure().empty()) why = secured->failure();
  return Error{Code::Unavailable,
               endpoint.to_string() + " failed while " + std::string{doing} + ": " + why};
}

namespace {

// The addresses that an endpoint names without asking anybody. None: its host is a name.
PERIGEE_OUT_OF_FRAME Result<Addresses> literal_addresses(const Endpoint& endpoint) {
  Addresses addresses;
  PERIGEE_TRY(literal, literal_address(endpoint));
  if (!literal) return addresses;
  addresses.push_back(*literal);
  if (endpoint.host == "localhost") {
    const Endpoint v6{"::1", endpoint.port, {}};
    PERIGEE_TRY(second, literal_address(v6));
    addresses.push_back(*second);
  }
  return addresses;
}

void set_port(SocketAddress& address, std::uint16_t port) {
  // Where it stands in both families.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  reinterpret_cast<sockaddr_in&>(address.storage).sin_port = htons(port);
}

// Its socket waits for the name before it waits for the peer.
Task<Result<Addresses>> resolve(ClientConnection& connection) {
  NameLookup& names = NameLookup::of(connection.core->executor);
  PERIGEE_CO_TRY(lookup, names.start(connection.endpoint.host));
  Descriptor& descriptor = connection.socket.descriptor();
  const int fd = lookup.descriptor();
  if (fd < 0 || !descriptor.open(fd)) co_return connection.lost("resolving its name", EMFILE);
  while (!descriptor.readable() && !connection.stopped()) {
    co_await descriptor.wait(Descriptor::Readable);
  }
  PERIGEE_CO_CHECK(connection.check("resolving its name"));
  connection.socket.close();
  PERIGEE_CO_TRY(addresses, lookup.answer());
  for (SocketAddress& address : addresses) set_port(address, connection.endpoint.port);
  co_return std::move(addresses);
}

// 0, an errno, or EINPROGRESS: wait until it is writable, then ask connect_error().
PERIGEE_OUT_OF_FRAME int begin_connect(ClientConnection& connection, const SocketAddress& address) {
  int error = 0;
  const int fd = start_connect(address, error);
  if (fd < 0) return error;
  connection.socket.close();
  Descriptor& descriptor = connection.socket.descriptor();
  if (!descriptor.open(fd)) return EMFILE;
  if (error == EINPROGRESS) descriptor.clear_writable();
  return error;
}

// Why no address could be reached; `error` is the last one's.
PERIGEE_OUT_OF_FRAME Error unreachable(ClientConnection& connection, int error) {
  const Result<> going_on = connection.check("connecting");
  return going_on ? connection.lost("connecting", error) : going_on.error();
}

// About a millisecond of work at most, once per connection: connections are kept alive.
Task<Result<>> secure(ClientConnection& connection) {
  ClientCore& core = *connection.core;
  connection.tls = core.tls != nullptr ? core.tls->newest() : nullptr;
  const std::string& name = connection.endpoint.tls_name;
  if (connection.tls == nullptr) {
    co_return Error{Code::FailedPrecondition,
                    "https needs authorities to believe: none is configured for " + name};
  }
  StreamSocket& socket = connection.socket;
  socket.begin_tls(
      std::make_unique<TlsStream>(connection.tls, socket.descriptor(), name,
                                  core.session_for(connection.endpoint, connection.tls)));
  for (;;) {
    const TlsStream::Step step = socket.tls()->handshake();
    if (step == TlsStream::Step::Done) co_return Result<>{};
    if (step == TlsStream::Step::Failed) co_return connection.lost("agreeing on TLS", 0);
    if (step == TlsStream::Step::WantRead) {
      co_await socket.wait_readable();
    } else {
      co_await socket.wait_writable();
    }
    PERIGEE_CO_CHECK(connection.check("agreeing on TLS"));
    if (!socket.is_open()) co_return connection.lost("agreeing on TLS", 0);
  }
}

}  // namespace

// Thousands may connect at once: what need not wait is done in plain functions, so that the frame
// is small.
Task<Result<>> connect(ClientConnection& connection) {
  connection.deadline.expire_after(connection.core->limits.connect_timeout);
  auto addresses = literal_addresses(connection.endpoint);
  if (addresses && addresses->empty()) addresses = co_await resolve(connection);
  if (!addresses) co_return std::move(addresses).error();
  int error = EADDRNOTAVAIL;
  for (const SocketAddress& address : *addresses) {
    error = begin_connect(connection, address);
    if (error == EINPROGRESS) {
      Descriptor& descriptor = connection.socket.descriptor();
      while (!descriptor.writable() && !connection.stopped()) {
        co_await descriptor.wait(Descriptor::Writable);
      }
      if (connection.stopped()) break;
      error = connect_error(descriptor.fd());
    }
    if (error == 0) {
      if (!connection.endpoint.tls_name.empty()) {
        auto agreed = co_await secure(connection);
        PERIGEE_CO_CHECK(std::move(agreed));
      }
      connection.deadline.never();
      co_return Result<>{};
    }
  }
  co_return unreachable(connection, error);
}

ClientCore::ClientCore(Executor executor_in, const Clock& clock, ClientLimits limits_in)
    : executor(executor_in),
      limits(limits_in),
      head_limits{limits_in.head_bytes_max, limits_in.headers_max},
      sweep(executor_in, clock) {}

std::unique_ptr<ClientConnection> ClientCore::take_idle(const Endpoint& endpoint) {
  const auto found = idle_.find(endpoint);
  if (found == idle_.end()) return nullptr;
  auto& idle = found->second;
  while (!idle.empty()) {
    std::unique_ptr<ClientConnection> connection = std::move(idle.back());
    idle.pop_back();
    Descriptor& descriptor = connection->socket.descriptor();
    descriptor.observe(nullptr, nullptr, false);
    if (!connection->socket.quiet()) continue;
    connection->deadline.never();
    connection->idle = connection->heard = connection->sent_whole = false;
    return connection;
  }
  return nullptr;
}

void ClientCore::keep_idle(std::unique_ptr<ClientConnection> connection) {
  Descriptor& descriptor = connection->socket.descriptor();
  connection->watch(nullptr);
  const bool quiet = connection->socket.quiet();
  connection->keep_session();
  if (closed_ || !quiet) return;
  auto& idle = idle_[connection->endpoint];
  if (idle.size() >= limits.idle_connections_max) return;
  connection->idle = true;
  connection->deadline.expire_after(limits.idle_timeout);
  descriptor.observe(
      [](void* owner) {
        auto* self = static_cast<ClientConnection*>(owner);
        if (!self->socket.quiet()) self->core->drop_idle(*self);
      },
      connection.get(), false);
  idle.push_back(std::move(connection));
}

void ClientCore::drop_idle(ClientConnection& connection) {
  auto& idle = idle_[connection.endpoint];
  const auto found = std::find_if(idle.begin(), idle.end(),
                                  [&](const auto& each) { return each.get() == &connection; });
  if (found == idle.end()) return;
  const std::unique_ptr<ClientConnection> dropped = std::move(*found);
  idle.erase(found);
}

void ClientConnection::keep_session() {
  if (tls == nullptr || socket.tls() == nullptr) return;
  if (TlsSession session = socket.tls()->take_session()) {
    core->keep_session(endpoint, tls, std::move(session));
  }
}

ssl_session_st* ClientCore::session_for(const Endpoint& endpoint,
                                        const std::shared_ptr<const TlsClient>& client) const {
  if (sessions_of_ != client) return nullptr;
  const auto found = sessions_.find(endpoint);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void ClientCore::keep_session(const Endpoint& endpoint,
                              const std::shared_ptr<const TlsClient>& client, TlsSession session) {
  if (tls->newest() != client) return;
  if (sessions_of_ != client || sessions_.size() >= kSessionsMax) sessions_.clear();
  sessions_of_ = client;
  sessions_.insert_or_assign(endpoint, std::move(session));
}

void ClientCore::close() {
  closed_ = true;
  const auto dropped = std::move(idle_);
  idle_.clear();
}

std::size_t ClientCore::idle_connections() const {
  std::size_t count = 0;
  for (const auto& [endpoint, idle] : idle_) count += idle.size();
  return count;
}

std::unique_ptr<char[]> ClientCore::take_buffer() {
  if (free_buffers_.empty()) return std::unique_ptr<char[]>{new char[kBufferBytes]};
  std::unique_ptr<char[]> buffer = std::move(free_buffers_.back());
  free_buffers_.pop_back();
  return buffer;
}

void ClientCore::return_buffer(std::unique_ptr<char[]> buffer) {
  if (free_buffers_.size() < kFreeBuffersMax) free_buffers_.push_back(std::move(buffer));
}

}  // namespace perigee::net
