// The receiving half of an exchange.
#include <boost/asio/post.hpp>
#include <cstring>

#include "net/client_connection.h"

namespace perigee::net {
namespace {

constexpr std::uint8_t kReadsPerTurn = 16;
constexpr std::uint8_t kInterimHeadsMax = 32;

Error broken_protocol(const ClientConnection& connection, std::string_view why) {
  return Error{Code::Protocol,
               connection.endpoint.to_string() + " answered with broken HTTP: " + std::string{why}};
}

}  // namespace

ClientResponse::State::~State() { release_buffer(); }

void ClientResponse::State::release_buffer() {
  if (buffer) core->return_buffer(std::move(buffer));
}

Result<bool> ClientResponse::State::receive(std::string_view doing) {
  PERIGEE_CHECK(connection->check(doing));
  if (!connection->socket.readable()) {
    if (!connection->socket.is_open()) return connection->lost(doing, 0);
    release_buffer();
    return false;
  }
  if (!buffer) buffer = core->take_buffer();
  const IoResult got = connection->socket.try_read(buffer.get(), ClientCore::kBufferBytes);
  if (got.kind == IoResult::Kind::WouldBlock) {
    release_buffer();
    return false;
  }
  if (got.kind == IoResult::Kind::End) {
    ended = true;
    return connection->lost(doing, 0);
  }
  if (got.kind == IoResult::Kind::Failed) return connection->lost(doing, got.error);
  connection->heard = true;
  pending = {buffer.get(), got.bytes};
  return true;
}

Result<bool> ClientResponse::State::next_of_head(bool no_body) {
  for (;;) {
    PERIGEE_TRY(received, receive("waiting for its answer"));
    if (!received) return false;
    PERIGEE_TRY(understood, understand_head(no_body));
    if (!understood) continue;
    if (connection) connection->deadline.never();  // an answer without a body let it go
    return true;
  }
}

// What was received, after what `head` holds already. The rest stays in `pending`.
Result<bool> ClientResponse::State::understand_head(bool no_body) {
  const bool continued = !head.empty();
  if (continued) head.append(pending);
  std::string_view bytes = continued ? std::string_view{head} : pending;
  for (;;) {
    switch (http1::parse_response_head(bytes, core->head_limits, parsed)) {
      case http1::Progress::Failed: return broken_protocol(*connection, parsed.refusal.reason);
      case http1::Progress::NeedMore: {
        std::string kept{bytes};
        head.swap(kept);
        pending = {};
        return false;
      }
      case http1::Progress::Done: break;
    }
    if (parsed.status == 101) return broken_protocol(*connection, "it switched protocols unasked");
    const std::string_view rest = bytes.substr(parsed.size);
    if (parsed.status >= 200) {
      pending.remove_prefix(pending.size() - rest.size());
      std::string kept{bytes.substr(0, parsed.size)};
      head.swap(kept);
      set_framing(no_body);
      return true;
    }
    // Each is thrown away, so no limit of bytes would ever end them.
    if (++interim_heads > kInterimHeadsMax) {
      return broken_protocol(*connection, "it sends one interim answer after the other");
    }
    bytes = rest;
  }
}

void ClientResponse::State::set_framing(bool no_body) {
  if (no_body || parsed.status == 204 || parsed.status == 304) {
    body = Body::None;
  } else if (parsed.chunked) {
    body = Body::Chunked;
  } else if (parsed.has_length) {
    body = parsed.content_length > 0 ? Body::Length : Body::None;
    left = parsed.content_length;
  } else {
    body = Body::UntilClose;
  }
  if (body == Body::None) complete();
}

// The body is complete: the connection serves the next request, if it can.
void ClientResponse::State::complete() {
  body = Body::None;
  const bool reusable = parsed.keep_alive && connection->sent_whole && pending.empty() &&
                        !connection->aborted && !connection->timed_out && !ended;
  connection->deadline.never();
  if (reusable) core->keep_idle(std::move(connection));
  connection.reset();
}

Result<bool> ClientResponse::State::take_chunks(std::string_view& piece) {
  // Pieces are moved together, so that one call gives all that was received.
  char* const start = const_cast<char*>(pending.data());
  std::size_t size = 0;
  for (;;) {
    std::string_view data;
    switch (decoder.next(pending, data)) {
      case http1::ChunkedDecoder::Event::Data:
        std::memmove(start + size, data.data(), data.size());
        size += data.size();
        continue;
      case http1::ChunkedDecoder::Event::Failed:
        return broken_protocol(*connection, decoder.failure());
      case http1::ChunkedDecoder::Event::End: complete(); break;
      case http1::ChunkedDecoder::Event::NeedMore: break;
    }
    piece = {start, size};
    return size > 0;
  }
}

Result<bool> ClientResponse::State::take_piece(std::string_view& piece) {
  if (pending.empty()) return false;
  if (body == Body::Chunked) return take_chunks(piece);
  if (body == Body::UntilClose) {
    piece = std::exchange(pending, {});
    return true;
  }
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, pending.size()));
  piece = pending.substr(0, n);
  pending.remove_prefix(n);
  left -= n;
  if (left == 0) complete();
  return true;
}

ClientResponse::ClientResponse(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientResponse::ClientResponse(ClientResponse&&) noexcept = default;
ClientResponse& ClientResponse::operator=(ClientResponse&&) noexcept = default;
ClientResponse::~ClientResponse() = default;

int ClientResponse::status() const { return state_->parsed.status; }

std::string_view ClientResponse::header(std::string_view name) const {
  return http1::find_in_head(state_->head, name);
}

Result<bool> ClientResponse::State::next(std::string_view& piece) {
  for (;;) {
    if (body == Body::None) {
      release_buffer();
      piece = {};
      return true;
    }
    PERIGEE_TRY(taken, take_piece(piece));
    if (taken) return true;
    if (body == Body::None) continue;
    turn_is_over = ++turn > kReadsPerTurn;
    if (turn_is_over) return false;
    auto received = receive("sending its answer");
    if (received) {
      if (!*received) return false;
    } else {
      if (!ended || body != Body::UntilClose) return std::move(received).error();
      complete();
    }
  }
}

PERIGEE_OUT_OF_FRAME bool ClientResponse::State::advance() {
  auto there = next(given);
  if (there) return *there;
  failure = std::make_unique<Error>(std::move(there).error());
  return true;
}

PERIGEE_OUT_OF_FRAME bool ClientResponse::State::advance_head(bool no_body) {
  auto there = next_of_head(no_body);
  if (there) return *there;
  failure = std::make_unique<Error>(std::move(there).error());
  return true;
}

Task<Result<std::string_view>> ClientResponse::read_some() {
  State& state = *state_;
  for (;;) {
    if (state.advance()) {
      if (state.failure) co_return std::move(*state.failure);
      co_return state.given;
    }
    state.turn = 0;
    if (state.turn_is_over) {
      co_await asio::post(state.core->executor, asio::deferred);
      continue;
    }
    state.connection->deadline.expire_after(state.core->limits.read_timeout);
    co_await state.connection->socket.wait_readable();
    state.connection->deadline.never();
  }
}

Task<Result<std::string>> ClientResponse::read_all(std::size_t bytes_max) {
  std::string whole;
  const auto too_large = [&] {
    return Error{Code::PayloadTooLarge,
                 "the answer is larger than " + std::to_string(bytes_max) + " bytes"};
  };
  if (state_->body == State::Body::Length) {
    if (state_->left > bytes_max) co_return too_large();
    whole.reserve(static_cast<std::size_t>(state_->left));
  }
  for (;;) {
    std::string_view piece;
    auto there = state_->next(piece);  // mostly: a short answer comes with its head
    if (!there) co_return std::move(there).error();
    if (!*there) {
      auto waited = co_await read_some();
      if (!waited) co_return std::move(waited).error();
      piece = *waited;
    }
    if (piece.empty()) co_return whole;
    if (whole.size() + piece.size() > bytes_max) co_return too_large();
    whole.append(piece);
  }
}

}  // namespace perigee::net
