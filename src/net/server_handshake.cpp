// How a connection of an HttpServer begins where TLS is spoken.
#include <sys/socket.h>

#include <cerrno>

#include "net/server_connection.h"

namespace perigee::net {
namespace {

constexpr char kTlsHandshake = 0x16;  // the first byte of every TLS connection; of no HTTP request

// Counts a handshake for as long as it is under way.
struct HandshakeCount {
  explicit HandshakeCount(std::size_t& of) : count(of) { ++count; }
  ~HandshakeCount() { --count; }
  HandshakeCount(const HandshakeCount&) = delete;
  HandshakeCount& operator=(const HandshakeCount&) = delete;
  std::size_t& count;
};

}  // namespace

Task<void> ServerConnection::greet_and_serve(std::shared_ptr<ServerConnection> self) {
  if (co_await greet(*self)) co_await serve(std::move(self));
}

// Looks at the first byte. False: the connection is over.
Task<bool> ServerConnection::greet(ServerConnection& self) {
  self.deadline_.expire_after(self.core_->limits.handshake_timeout);
  char first = 0;
  for (;;) {
    const ssize_t n = ::recv(self.socket_.descriptor().fd(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 1) break;
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) co_return false;
    self.socket_.descriptor().clear_readable();
    co_await self.socket_.wait_readable();
    if (!self.socket_.is_open() || self.timed_out_) co_return false;
  }
  if (first == kTlsHandshake) co_return co_await agree_on_tls(self);
  if (self.request_.remote_is_loopback || self.core_->plain_from_anywhere) co_return true;
  self.refuse(400, "this address speaks TLS only: use https://");
  co_await answer_refusal(self);
  co_return false;
}

Task<bool> ServerConnection::agree_on_tls(ServerConnection& self) {
  ServerCore& core = *self.core_;
  if (core.handshakes >= core.limits.handshakes_max) co_return false;
  const HandshakeCount counted{core.handshakes};
  StreamSocket& socket = self.socket_;
  socket.begin_tls(std::make_unique<TlsStream>(core.tls, socket.descriptor()));
  for (;;) {
    co_await core.handshake_turn();
    if (!socket.is_open() || self.timed_out_) co_return false;
    const TlsStream::Step step = socket.tls()->handshake();
    if (step == TlsStream::Step::Done) break;
    if (step == TlsStream::Step::Failed) {
      core.warn_of_handshake(socket.tls()->failure());
      co_return false;
    }
    if (step == TlsStream::Step::WantRead) {
      co_await socket.wait_readable();
    } else {
      co_await socket.wait_writable();
    }
    if (!socket.is_open() || self.timed_out_) co_return false;
  }
  self.request_.tls_peer = &socket.tls()->peer();
  co_return true;
}

}  // namespace perigee::net
