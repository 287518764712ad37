// HttpServer: HTTP/1.1 with keep-alive, strict (RFC 9112; request smuggling, obsolete folding,
// duplicate lengths and bad chunking are refused), bounded in everything (`ServerLimits`).
//
// A connection is one coroutine. It reads a head and a whole body, calls the handler, and sends
// what the handler writes. Errors of the peer are answered (400, 408, 413, 417, 431, 501, 505, with
// an OpenAI-shaped JSON error) and the connection closed; they never reach the handler. A
// connection that waits holds no buffer. Beyond `connections_max` the place of one that is between
// requests is taken; when none is, 503 and close. Bodies beyond `bodies_bytes_max`: 503 and close.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/endpoint.h"
#include "net/header.h"
#include "net/task.h"
#include "net/tls.h"

namespace perigee::net {

struct TlsPeer;

struct ServerLimits {
  std::size_t head_bytes_max = 32 * 1024;
  std::size_t headers_max = 100;
  std::size_t body_bytes_max = 8 * 1024 * 1024;
  // Of all requests that are being received or handled, until their handlers release them; what
  // each connection has beyond 16 KiB counts.
  std::size_t bodies_bytes_max = std::size_t{512} * 1024 * 1024;
  std::size_t connections_max = 20'000;
  std::size_t handshakes_max = 1'024;       // of TLS, at once; beyond: closed
  Duration head_timeout = seconds{10};      // from the first byte of a head to its last; then 408
  Duration body_timeout = seconds{60};      // from a head's last byte to its body's last; then 408
  Duration idle_timeout = seconds{75};      // before and between requests; then closed
  Duration write_timeout = seconds{30};     // to take 16 KiB, or what is left of a write; then cut
  Duration handshake_timeout = seconds{5};  // from accept to the end of TLS's handshake; then cut
  // Deadlines are swept: one is noticed up to 100 ms late.
};

// A parsed request. All views are valid until the handler's coroutine ends or it calls
// ResponseWriter::release_request().
class Request {
 public:
  std::string_view method;
  std::string_view path;   // without the query
  std::string_view query;  // without '?'
  std::span<const Header> headers;
  // `body.data()` is readable (zeros or noise) for kBodyPadding bytes past its end: simdjson.
  std::string_view body;
  bool remote_is_loopback = true;
  // The other end of a TLS connection; null: it came in the clear. Lives as long as the connection.
  const TlsPeer* tls_peer = nullptr;

  // The verified member of the grid at the other end ("spiffe://..."); empty: none.
  std::string_view member() const;
  // The first header of that name, ASCII case-insensitive; empty when absent.
  std::string_view header(std::string_view name) const { return find_header(headers, name); }
};
inline constexpr std::size_t kBodyPadding = 64;

// How a handler answers: respond() once, or begin() + write()* + finish().
// write() returns without waiting while the client keeps up; it suspends when the client is slow
// (nothing is queued) and fails when it left (Cancelled) or took too little in `write_timeout`
// (DeadlineExceeded). Headers `content-length`, `transfer-encoding`, `connection` and `date` are
// the server's own; a name or value that is no legal header is InvalidArgument and nothing is sent.
// A handler that returns without an answer gives 500, or nothing if the client left (half-closed
// too); one that returns between begin() and finish() cuts the connection, so that the client sees
// a truncated body. To HEAD no body is sent; to
// HTTP/1.0 a stream ends with the connection.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual Task<Result<>> respond(int status, std::span<const Header> headers,
                                 std::string_view body) = 0;
  virtual Task<Result<>> begin(int status, std::span<const Header> headers) = 0;  // chunked
  virtual Task<Result<>> write(std::string_view bytes) = 0;
  virtual Task<Result<>> finish() = 0;
  virtual bool started() const = 0;  // a status line went out
  // Calls `left` once if the client closes (half-closes too) or resets before the response is
  // finished; from the event loop, never inside this call. Replaces the former watcher; pass
  // nullptr to stop. Costs no system call.
  virtual void watch_client(std::function<void()> left) = 0;
  // The handler needs the request's views no more (it copied what it needs): their memory is freed,
  // which matters to a stream that lasts long. After it, the Request is empty.
  virtual void release_request() {}
};

using Handler = std::function<Task<void>(Request&, ResponseWriter&)>;

// Owned by the composition root; on the IO thread. Destroying it closes its connections and tells
// their watchers; handlers that still run get Cancelled from the next write.
class HttpServer {
 public:
  // `clock` must outlive the server.
  HttpServer(Executor executor, const Clock& clock, ServerLimits limits, Handler handler);
  ~HttpServer();
  // Binds and starts accepting; port 0 picks one. FailedPrecondition when the address is in use
  // (for a Unix socket: only if something answers there; a stale file is replaced).
  Result<Endpoint> listen(const Endpoint& endpoint);
  // From now on connections that begin as TLS does are taken with it (net/tls.h), over TCP only. In
  // the clear come only those from loopback; others are told (400) to use https, unless
  // `plain_from_anywhere`. Again: the newest is for new connections.
  void use_tls(std::shared_ptr<const TlsServer> tls, bool plain_from_anywhere = false);
  // Cuts each connection whose member of the grid `refused` names, also those in the middle of an
  // answer. For members that are none any more.
  void cut_members(const std::function<bool(std::string_view spiffe_id)>& refused);
  // Stops accepting. For `grace`, or until nothing runs, each connection is served once more; then
  // only what runs may end, for `at_most` in all, and what is idle is closed. Called again, the
  // shorter times hold.
  Task<void> shut_down(Duration grace, Duration at_most);
  Task<void> shut_down(Duration grace) { return shut_down(grace, grace); }
  std::size_t connections() const;
  std::size_t body_bytes() const;  // held of requests, as `bodies_bytes_max` counts

 private:
  std::shared_ptr<class ServerCore> core_;
};

}  // namespace perigee::net
