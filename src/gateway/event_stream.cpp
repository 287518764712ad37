#include "gateway/event_stream.h"

#include <utility>

#include "api/stream_field.h"

namespace perigee {
namespace {

constexpr std::size_t kFrameBytes = 40;  // about "perigee: choice=1 ids=\ndata: \n\n"

}  // namespace

EventStream::EventStream(Executor executor, bool relay_field)
    : notifier_(executor), relay_field_(relay_field) {}

void EventStream::on_head(const Head& head) {
  if (!head.site.empty() || head.load) head_ = std::make_unique<const Head>(head);
}

bool EventStream::on_chunk(const Chunk& chunk) {
  // One allocation for a chunk that stays alone, as most do; what joins it makes the text double.
  if (bytes_.empty()) bytes_.reserve(kFrameBytes + chunk.json.size() + chunk.token_ids.size());
  if (relay_field_) {
    api::StreamField field;
    field.choice = chunk.choice;
    field.token_ids = chunk.token_ids;
    field.ends = chunk.ends;
    field.more = chunk.more;
    api::append_event_line(bytes_, field);
  }
  std::string_view rest = chunk.json;
  for (std::size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
    bytes_.append("data: ").append(rest.substr(0, end)).append("\n");  // it came in several lines
  }
  bytes_.append("data: ").append(rest).append("\n\n");
  tokens_ += chunk.tokens;
  paused_ = bytes_.size() >= kBufferBytesMax;
  notifier_.notify();
  return !paused_;
}

void EventStream::on_finished(Finished finished) {
  if (end_.index() == 0) end_ = std::move(finished);
  notifier_.notify();
}

void EventStream::on_error(Error error) {
  if (end_.index() == 0) end_ = std::move(error);
  notifier_.notify();
}

void EventStream::client_left() {
  left_ = true;
  notifier_.notify();
}

void EventStream::tick(Instant now) {
  if (now >= expect_by_ && end_.index() == 0 && bytes_.empty()) {
    on_error(Error{Code::DeadlineExceeded, "the engine did not answer in time"});
  }
  if (now >= next_heartbeat_) {
    next_heartbeat_ = now + heartbeat_interval_;
    heartbeat_due_ = true;
    notifier_.notify();
  }
}

void EventStream::beat_every(Duration interval, Instant now) {
  heartbeat_interval_ = interval;
  next_heartbeat_ = now + interval;
}

bool EventStream::take_heartbeat() { return std::exchange(heartbeat_due_, false); }

std::string EventStream::take_bytes(std::uint32_t& tokens) {
  tokens = std::exchange(tokens_, 0);
  paused_ = false;
  return std::exchange(bytes_, {});
}

void EventStream::restart() {
  bytes_.clear();
  tokens_ = 0;
  paused_ = false;
  head_.reset();
  end_ = std::monostate{};
}

}  // namespace perigee
