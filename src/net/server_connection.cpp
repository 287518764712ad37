#include "net/server_connection.h"

#include <boost/asio/post.hpp>
#include <memory>

#include "base/log.h"

namespace perigee::net {
namespace {

constexpr int kRequestsPerTurn = 32;  // pipelined, before others get their turn
constexpr int kReadsPerTurn = 8;      // of one request, from a client that sends without a pause
constexpr std::size_t kLingerBytesMax = 1024 * 1024;
constexpr Duration kLingerTime = seconds{2};
constexpr std::size_t kUncountedBytes = 16 * 1024;  // a small body is never refused for the others'

std::size_t counted(std::size_t body_bytes) {
  return body_bytes > kUncountedBytes ? body_bytes - kUncountedBytes : 0;
}

constexpr Header kJson[] = {{"Content-Type", "application/json"}};
constexpr std::string_view kSaidNothing =
    R"({"error":{"message":"the server failed to answer this request","type":"server_error",)"
    R"("param":null,"code":"server_error"}})";
constexpr std::string_view kNoRoom = "too many large requests at once: repeat later";

std::size_t block_bytes(std::size_t message, std::size_t headers) {
  return message + kBodyPadding + alignof(Header) + headers * sizeof(Header);
}

}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerCore> core, bool loopback)
    : core_(std::move(core)),
      socket_(core_->executor),
      deadline_(
          core_->sweep, [](void* self) { static_cast<ServerConnection*>(self)->expired(); }, this) {
  request_.remote_is_loopback = loopback;
  core_->add(*this);
}

ServerConnection::~ServerConnection() {
  drop_request();
  core_->remove(*this);
}

// Counts what has come of the body; false when all bodies together are too many.
bool ServerConnection::has_room_for(std::size_t body_bytes) {
  core_->body_bytes += counted(body_bytes) - counted(held_bytes_);
  held_bytes_ = body_bytes;
  return counted(body_bytes) == 0 || core_->body_bytes <= core_->limits.bodies_bytes_max;
}

void ServerConnection::drop_request() {
  block_.clear();
  core_->body_bytes -= counted(held_bytes_);
  held_bytes_ = 0;
}

void ServerConnection::expired() {
  timed_out_ = true;
  socket_.descriptor().wake();
}

void ServerConnection::cut() {
  socket_.close();
  if (left_) tell_watcher_later();
}

Task<void> ServerConnection::serve(std::shared_ptr<ServerConnection> self) {
  int turn = 0;
  self->deadline_.expire_after(self->core_->limits.idle_timeout);
  for (;;) {
    const Step step = self->advance();
    if (step == Step::Wait || step == Step::Yield) {
      turn = 0;
      if (step == Step::Wait) {
        co_await self->socket_.wait_readable();
      } else {
        co_await asio::post(self->core_->executor, asio::deferred);
      }
      if (!self->socket_.is_open()) co_return;
      if (!self->timed_out_) continue;
      if (self->phase_ == Phase::Idle) co_return;
      self->refuse(408, "the request did not arrive in time");
      co_await answer_refusal(*self);
      co_return;
    }
    if (step == Step::Close) co_return;
    if (step == Step::Refuse) {
      co_await answer_refusal(*self);
      co_return;
    }
    self->deadline_.never();
    try {
      co_await self->core_->handler(self->request_, *self);
    } catch (const std::exception& thrown) {
      log::error("a request's handler ended by an exception: a defect",
                 {{"exception", thrown.what()}});
      self->keep_alive_ = false;  // where nothing was answered: 500 below
    }
    if (self->answer_ == Answer::None && self->socket_.is_open()) {
      if (self->socket_.descriptor().peer_closed()) co_return;  // it left: nobody is to be told
      auto sent = co_await self->respond(500, kJson, kSaidNothing);
      if (!sent) co_return;
    }
    if (!self->end_exchange()) co_return;
    if (++turn < kRequestsPerTurn) continue;
    turn = 0;
    co_await asio::post(self->core_->executor, asio::deferred);
  }
}

// Readies the connection for the next request; false when there is none.
bool ServerConnection::end_exchange() {
  watch_client(nullptr);
  drop_request();
  if (answer_ != Answer::Done || !keep_alive_ || !socket_.is_open()) return false;
  if (core_->closing()) return false;
  answer_ = Answer::None;
  phase_ = Phase::Idle;
  in_is_new_ = !in_.empty();
  deadline_.expire_after(core_->limits.idle_timeout);
  return true;
}

ServerConnection::Step ServerConnection::advance() {
  if (in_is_new_) {
    in_is_new_ = false;
    if (const Step step = understand(in_.view()); step != Step::Wait) return step;
  }
  for (int reads = 0; socket_.readable(); ++reads) {
    if (reads == kReadsPerTurn) return Step::Yield;
    if (const Step step = read_once(); step != Step::Wait) return step;
  }
  return Step::Wait;
}

ServerConnection::Step ServerConnection::read_once() {
  if (phase_ == Phase::LengthBody) return continue_length_body();
  const bool fresh = in_.empty();
  char* into = core_->scratch.get();
  std::size_t room = ServerCore::kScratchBytes;
  if (!fresh) {
    in_.reserve(in_.size() + 4096);
    into = in_.end();
    room = in_.room();
  }
  const IoResult got = socket_.try_read(into, room);
  if (got.kind == IoResult::Kind::WouldBlock) return Step::Wait;
  if (got.kind != IoResult::Kind::Done) return Step::Close;
  if (phase_ == Phase::ChunkedBody) return feed_chunks({into, got.bytes});
  if (fresh) return understand({into, got.bytes});
  const bool line_ended = std::memchr(into, '\n', got.bytes) != nullptr;
  in_.added(got.bytes);
  if (!line_ended && in_.size() <= core_->limits.head_bytes_max) return Step::Wait;
  return understand(in_.view());
}

ServerConnection::Step ServerConnection::understand(std::string_view bytes) {
  http1::RequestHead& head = core_->head;
  switch (http1::parse_request_head(bytes, core_->head_limits, head)) {
    case http1::Progress::NeedMore:
      if (phase_ == Phase::Idle) {
        phase_ = Phase::Head;
        deadline_.expire_after(core_->limits.head_timeout);
      }
      if (bytes.data() != in_.data()) in_.append(bytes);
      return Step::Wait;
    case http1::Progress::Failed: return refuse(head.refusal.status, head.refusal.reason);
    case http1::Progress::Done: break;
  }
  return accept_head(bytes);
}

ServerConnection::Step ServerConnection::accept_head(std::string_view bytes) {
  const http1::RequestHead& head = core_->head;
  keep_alive_ = head.keep_alive;
  http_1_0_ = head.http_1_0;
  head_only_ = head.method == "HEAD";
  head_bytes_ = head.size;
  header_count_ = head.headers.size();
  if (head.content_length > core_->limits.body_bytes_max) {
    return refuse(413, "the body is larger than this server accepts");
  }
  body_bytes_ = static_cast<std::size_t>(head.content_length);
  std::string_view body = bytes.substr(head.size);
  const bool whole = !head.chunked && body.size() >= body_bytes_;
  if (!whole && head.expect_continue && body.empty()) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    iovec part = part_of(kContinue);
    std::span<iovec> parts{&part, 1};
    if (socket_.try_write(parts).kind != IoResult::Kind::Done) return Step::Close;
  }
  if (head.chunked) {
    phase_ = Phase::ChunkedBody;
    decoder_ = {};
    block_.append(bytes.substr(0, head.size));
    deadline_.expire_after(core_->limits.body_timeout);
    const ByteBuffer consumed = in_.take();  // may hold `bytes`
    return feed_chunks(body);
  }
  const std::size_t present = std::min(body.size(), body_bytes_);
  const std::size_t block_size = block_bytes(
      head.size + (whole ? present : std::min(body_bytes_, present + 65536)), header_count_);
  block_.reserve(block_size);
  block_.append(bytes.substr(0, head.size + present));
  if (!has_room_for(present)) return refuse(503, kNoRoom);
  if (whole) {
    publish_request(bytes.data());
    keep_rest(body.substr(present));
    return Step::Handle;
  }
  in_.clear();
  phase_ = Phase::LengthBody;
  deadline_.expire_after(core_->limits.body_timeout);
  return Step::Wait;
}

// Keeps what follows the request; `rest` may be the end of in_.
void ServerConnection::keep_rest(std::string_view rest) {
  if (in_.empty()) {
    in_.append(rest);
  } else {
    in_.remove_front(in_.size() - rest.size());
  }
}

ServerConnection::Step ServerConnection::continue_length_body() {
  const std::size_t total = head_bytes_ + body_bytes_;
  const std::size_t wanted = total - block_.size();
  if (block_.room() < std::min<std::size_t>(wanted, 16 * 1024)) {
    block_.reserve(block_bytes(std::min(total, 2 * block_.size()), header_count_));
  }
  const IoResult got = socket_.try_read(block_.end(), std::min(wanted, block_.room()));
  if (got.kind == IoResult::Kind::WouldBlock) return Step::Wait;
  if (got.kind != IoResult::Kind::Done) return Step::Close;
  block_.added(got.bytes);
  if (!has_room_for(block_.size() - head_bytes_)) return refuse(503, kNoRoom);
  return block_.size() == total ? finish_request() : Step::Wait;
}

ServerConnection::Step ServerConnection::feed_chunks(std::string_view bytes) {
  for (;;) {
    std::string_view data;
    switch (decoder_.next(bytes, data)) {
      case http1::ChunkedDecoder::Event::Data:
        if (block_.size() - head_bytes_ + data.size() > core_->limits.body_bytes_max) {
          return refuse(413, "the body is larger than this server accepts");
        }
        block_.append(data);
        if (!has_room_for(block_.size() - head_bytes_)) return refuse(503, kNoRoom);
        break;
      case http1::ChunkedDecoder::Event::NeedMore: return Step::Wait;
      case http1::ChunkedDecoder::Event::Failed: return refuse(400, decoder_.failure());
      case http1::ChunkedDecoder::Event::End: in_.append(bytes); return finish_request();
    }
  }
}

// A body came in pieces: the head in block_ is parsed again, for its views.
ServerConnection::Step ServerConnection::finish_request() {
  block_.reserve(block_bytes(block_.size(), header_count_));
  http1::parse_request_head(block_.view().substr(0, head_bytes_), core_->head_limits, core_->head);
  publish_request(block_.data());
  return Step::Handle;
}

void ServerConnection::publish_request(const char* parsed_at) {
  http1::RequestHead& head = core_->head;
  head.rebase(parsed_at, block_.data());
  void* at = block_.end() + kBodyPadding;
  std::size_t room = block_.room() - kBodyPadding;
  std::align(alignof(Header), header_count_ * sizeof(Header), at, room);
  std::memset(block_.end(), 0, kBodyPadding);
  auto* headers = static_cast<Header*>(at);
  std::uninitialized_copy(head.headers.begin(), head.headers.end(), headers);
  request_.method = head.method;
  request_.path = head.path;
  request_.query = head.query;
  request_.headers = {headers, header_count_};
  request_.body = block_.view().substr(head_bytes_);
  phase_ = Phase::Handling;
}

void ServerConnection::release_request() {
  const bool loopback = request_.remote_is_loopback;
  const TlsPeer* peer = request_.tls_peer;
  request_ = Request{};
  request_.remote_is_loopback = loopback;
  request_.tls_peer = peer;
  drop_request();
}

ServerConnection::Step ServerConnection::refuse(int status, std::string_view reason) {
  refusal_ = {status, reason};
  keep_alive_ = false;
  head_only_ = false;
  phase_ = Phase::Closing;
  return Step::Refuse;
}

// Says why, then reads on for a moment: closing with unread bytes would reset the connection and
// could take the answer back.
Task<void> ServerConnection::answer_refusal(ServerConnection& self) {
  self.in_.clear();
  self.drop_request();
  self.timed_out_ = false;
  self.deadline_.never();
  const bool full = self.refusal_.status == 503;
  const std::string body =
      R"({"error":{"message":")" + std::string{self.refusal_.reason} +
      (full ? R"(","type":"server_error","param":null,"code":"overloaded"}})"
            : R"(","type":"invalid_request_error","param":null,"code":null}})");
  const Header headers[] = {{"Content-Type", "application/json"}, {"Retry-After", "1"}};
  auto sent = co_await self.respond(self.refusal_.status, {headers, full ? 2U : 1U}, body);
  if (!sent) co_return;
  self.socket_.shut_down_writing();
  self.deadline_.expire_after(kLingerTime);
  std::size_t discarded = 0;
  while (discarded < kLingerBytesMax && !self.timed_out_ && self.socket_.is_open()) {
    if (!self.socket_.readable()) {
      co_await self.socket_.wait_readable();
      continue;
    }
    const IoResult got =
        self.socket_.try_read(self.core_->scratch.get(), ServerCore::kScratchBytes);
    if (got.kind == IoResult::Kind::End || got.kind == IoResult::Kind::Failed) co_return;
    discarded += got.bytes;
  }
}

void ServerConnection::watch_client(std::function<void()> left) {
  left_ = std::move(left);
  if (!left_) {
    socket_.descriptor().observe(nullptr, nullptr, false);
    return;
  }
  socket_.descriptor().observe(
      [](void* owner) {
        auto* self = static_cast<ServerConnection*>(owner);
        if (self->socket_.descriptor().peer_closed()) self->tell_watcher();
      },
      this, true);
  if (socket_.descriptor().peer_closed() || !socket_.is_open()) tell_watcher_later();
}

void ServerConnection::tell_watcher() {
  if (!left_) return;
  const std::function<void()> left = std::exchange(left_, nullptr);
  left();
}

void ServerConnection::tell_watcher_later() {
  asio::post(core_->executor, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->tell_watcher();
  });
}

}  // namespace perigee::net
