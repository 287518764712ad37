#include "net/http_client.h"

#include <algorithm>

#include "net/client_connection.h"

namespace perigee::net {
namespace {

bool is_clients_own(std::string_view name) {
  return equal_ignoring_case(name, "host") || equal_ignoring_case(name, "content-length") ||
         equal_ignoring_case(name, "connection") || equal_ignoring_case(name, "transfer-encoding");
}

bool is_target(std::string_view target) {
  if (!target.starts_with('/')) return false;
  for (const char c : target) {
    if (c <= ' ' || c >= 0x7f || c == '#') return false;
  }
  return true;
}

std::string authority(const Endpoint& endpoint) {
  return endpoint.is_unix() ? "localhost" : endpoint.to_string();
}

Result<std::string> compose(const Endpoint& endpoint, const ClientRequest& request) {
  if (!http1::is_token(request.method) || !is_target(request.target)) {
    return Error{Code::InvalidArgument, "the request's method or target has an invalid character"};
  }
  std::string out;
  std::size_t size = 160 + request.target.size();
  for (const Header& header : request.headers) size += header.name.size() + header.value.size() + 4;
  out.reserve(size);
  out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\n");
  http1::append_header(out, "Host", authority(endpoint));
  for (const Header& header : request.headers) {
    if (!http1::is_token(header.name) || !http1::is_field_value(header.value)) {
      return Error{Code::InvalidArgument, "a request header has an invalid character",
                   std::string{header.name}};
    }
    if (!is_clients_own(header.name)) http1::append_header(out, header.name, header.value);
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
      request.method == "PATCH") {
    http1::append_header(out, "Content-Length", std::to_string(request.body.size()));
  }
  out.append("\r\n");
  return out;
}

// Sends the rest as the server takes it; stops early when the server answers or leaves.
Task<void> send_rest(ClientConnection& connection, std::span<iovec> left) {
  connection.deadline.expire_after(connection.core->limits.read_timeout);
  for (;;) {
    const IoResult put = connection.socket.try_write(left);
    connection.sent_whole = put.kind == IoResult::Kind::Done;
    if (put.kind != IoResult::Kind::WouldBlock) co_return;
    if (connection.aborted || connection.timed_out || !connection.socket.quiet()) co_return;
    if (put.bytes > 0) connection.deadline.expire_after(connection.core->limits.read_timeout);
    co_await connection.socket.wait_any();
  }
}

// What goes over the wire.
struct Message {
  std::string head;
  std::string_view body;
  bool answered_without_body = false;
};

Task<Result<ClientResponse>> refused(Error error) { co_return error; }

Task<Result<ClientResponse>> exchange(std::shared_ptr<ClientCore> core, Endpoint endpoint,
                                      Message message, Abort* abort) {
  for (bool fresh = false;; fresh = true) {
    if (abort != nullptr && abort->aborted()) {
      co_return Error{Code::Cancelled, "the exchange was aborted"};
    }
    std::unique_ptr<ClientConnection> connection;
    if (!fresh) connection = core->take_idle(endpoint);
    const bool reused = connection != nullptr;
    if (!reused) connection = std::make_unique<ClientConnection>(core, endpoint);
    connection->watch(abort);
    if (!reused) {
      auto connected = co_await connect(*connection);
      if (!connected) co_return std::move(connected).error();
    }
    iovec parts[2] = {part_of(message.head), part_of(message.body)};
    std::span<iovec> left{parts, message.body.empty() ? 1U : 2U};
    const IoResult put = connection->socket.try_write(left);
    connection->sent_whole = put.kind == IoResult::Kind::Done;
    if (put.kind == IoResult::Kind::WouldBlock) co_await send_rest(*connection, left);
    auto state = std::make_unique<ClientResponse::State>(std::move(connection));
    state->connection->deadline.expire_after(core->limits.head_timeout);
    while (!state->advance_head(message.answered_without_body)) {
      co_await state->connection->socket.wait_readable();
    }
    if (!state->failure) co_return ClientResponse{std::move(state)};
    const bool stale =
        reused && !state->connection->heard && state->failure->code == Code::Unavailable;
    if (!stale) co_return std::move(*state->failure);
  }
}

}  // namespace

HttpClient::HttpClient(Executor executor, const Clock& clock, ClientLimits limits,
                       std::shared_ptr<TlsClientSource> tls)
    : core_(std::make_shared<ClientCore>(executor, clock, limits)) {
  core_->tls = std::move(tls);
}

HttpClient::~HttpClient() { core_->close(); }

Task<Result<ClientResponse>> HttpClient::send(Endpoint endpoint, ClientRequest request,
                                              Abort* abort) {
  auto composed = compose(endpoint, request);
  if (!composed) return refused(std::move(composed).error());
  Message message{std::move(*composed), request.body, request.method == "HEAD"};
  return exchange(core_, std::move(endpoint), std::move(message), abort);
}

std::size_t HttpClient::idle_connections() const { return core_->idle_connections(); }

}  // namespace perigee::net
