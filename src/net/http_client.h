// HttpClient: HTTP/1.1 requests over pooled, kept-alive connections. One per IO thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/endpoint.h"
#include "net/header.h"
#include "net/task.h"
#include "net/tls.h"

namespace perigee::net {

// Deadlines are swept: one is noticed up to 100 ms late.
struct ClientLimits {
  std::size_t head_bytes_max = 32 * 1024;
  std::size_t headers_max = 100;
  std::size_t idle_connections_max = 256;  // per endpoint
  Duration connect_timeout = seconds{2};
  Duration head_timeout = seconds{300};  // from the request's last byte to the response's head
  Duration read_timeout = seconds{60};   // between two reads of a body
  Duration idle_timeout = seconds{60};
};

struct ClientRequest {
  std::string_view method = "POST";
  std::string_view target = "/";    // path and query
  std::span<const Header> headers;  // host, content-length, connection are the client's own
  std::string_view body;
};

// A response whose head has arrived. Move-only. Destroying it before the end closes the connection,
// which tells the server that nobody listens; read to its end, the connection returns to the pool.
class ClientResponse {
 public:
  ClientResponse(ClientResponse&&) noexcept;
  ClientResponse& operator=(ClientResponse&&) noexcept;
  ~ClientResponse();
  int status() const;
  std::string_view header(std::string_view name) const;  // case-insensitive, empty when absent
  // The next piece of the body, decoded from its framing; empty at the end. The view is valid until
  // the next call. No buffer is held while it waits. Unavailable (cut before its end), Protocol,
  // DeadlineExceeded, Cancelled.
  Task<Result<std::string_view>> read_some();
  // The rest of the body as a whole; PayloadTooLarge beyond `bytes_max`.
  Task<Result<std::string>> read_all(std::size_t bytes_max);

  struct State;
  explicit ClientResponse(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// A switch that ends an exchange from outside: abort() closes its connection wherever it stands
// (connecting, sending, waiting, reading); the pending call returns Cancelled. Must outlive the
// exchange it was given to; reusable after it ended (after an abort: by reset()). Calling abort()
// before send() makes send() return Cancelled at once. The pending call resumes from the event
// loop, never inside abort().
class Abort {
 public:
  Abort() = default;
  Abort(const Abort&) = delete;
  Abort& operator=(const Abort&) = delete;
  void abort();
  // The same, unless a byte of the answer has come.
  void abort_unanswered();
  bool aborted() const { return aborted_; }
  void reset() { aborted_ = false; }

 private:
  friend struct ClientConnection;
  void (*close_)(void*) = nullptr;
  void* connection_ = nullptr;
  bool aborted_ = false;
};

// Names other than literal addresses and localhost are resolved by the system's resolver.
// io_context::run() may go on while connections are pooled.
class HttpClient {
 public:
  // `clock` must outlive the client and all its responses.
  // `tls`: what endpoints with a `tls_name` are called with; null: such calls fail with
  // FailedPrecondition. Their handshake counts into `connect_timeout`.
  HttpClient(Executor executor, const Clock& clock, ClientLimits limits,
             std::shared_ptr<TlsClientSource> tls = nullptr);
  ~HttpClient();
  // Sends the request and waits for the response's head (1xx are skipped). The request's head is
  // copied by the call itself; its body must live until the awaited answer is there. An answer that
  // comes before the whole request was sent is given as well.
  // A kept-alive connection that turns out closed before any byte of a response is replaced once by
  // a fresh one. Unavailable (refused, reset, no route), DeadlineExceeded, Protocol, Cancelled.
  // InvalidArgument: a header or the target has a character that does not belong there.
  Task<Result<ClientResponse>> send(Endpoint endpoint, ClientRequest request,
                                    Abort* abort = nullptr);
  std::size_t idle_connections() const;

 private:
  std::shared_ptr<class ClientCore> core_;
};

}  // namespace perigee::net
