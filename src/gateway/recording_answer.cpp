#include "gateway/recording_answer.h"

#include <utility>

namespace perigee {
namespace {

Error cut_off() {
  return Error{Code::Unavailable, "The first request with this 'idempotency-key' was cut off.", "",
               1000};
}

}  // namespace

RecordingAnswer::RecordingAnswer(Executor executor, Answer& out, IdempotencyTable::Run run)
    : out_(out), run_(std::move(run)), recording_(run_.recording()), timer_(executor) {
  run_.on_closing([this] { look_for_readers(); });
}

RecordingAnswer::~RecordingAnswer() {
  watch_client(nullptr);
  recording_->fail(AnswerHead{}, cut_off());  // unless it has ended
}

void RecordingAnswer::watch_client(std::function<void()> left) {
  left_ = std::move(left);
  if (!left_) {
    waiting_ = 0;
    timer_.cancel();
    recording_->watch_readers(nullptr);
    out_.watch_client(nullptr);
    return;
  }
  recording_->watch_readers([this] { look_for_readers(); });
  if (client_there_) out_.watch_client([this] { client_gone(); });
}

void RecordingAnswer::client_gone() {
  client_there_ = false;
  look_for_readers();
}

// Starts or stops the wait for a reader.
void RecordingAnswer::look_for_readers() {
  if (!left_ || client_there_) return;
  const bool wanted = recording_->readers() > 0 && recording_->state() != Recording::State::TooLong;
  if (wanted) {
    waiting_ = 0;
    timer_.cancel();
    return;
  }
  const Duration patience =
      recording_->state() == Recording::State::TooLong ? Duration{} : run_.patience();
  if (waiting_ != 0 && patience > Duration{}) return;
  waiting_ = ++waits_;
  timer_.expires_after(patience);
  timer_.async_wait([weak = std::weak_ptr{alive_}, wait = waits_](boost::system::error_code) {
    if (const auto alive = weak.lock(); alive && (*alive)->waiting_ == wait) (*alive)->give_up();
  });
}

void RecordingAnswer::give_up() {
  waiting_ = 0;
  run_.abandon();  // who asks from now on starts anew
  const std::function<void()> left = std::exchange(left_, nullptr);
  if (left) left();
}

Result<> RecordingAnswer::unsent() {
  if (recording_->state() != Recording::State::TooLong) return {};
  return Error{Code::Cancelled, "the client left, and the answer is too long to wait for another"};
}

Result<> RecordingAnswer::outcome(Result<> sent) {
  if (sent) return sent;
  out_.watch_client(nullptr);
  client_gone();
  return unsent();
}

Task<Result<>> RecordingAnswer::respond(const AnswerHead& head, std::string_view body) {
  run_.make_room(body.size());
  recording_->respond(head, body);
  if (!client_there_) co_return unsent();
  auto sent = co_await out_.respond(head, body);
  co_return outcome(std::move(sent));
}

Task<Result<>> RecordingAnswer::begin_stream(const AnswerHead& head) {
  recording_->begin_stream(head);
  if (!client_there_) co_return unsent();
  auto begun = co_await out_.begin_stream(head);
  co_return outcome(std::move(begun));
}

Task<Result<>> RecordingAnswer::write(std::string_view events) {
  run_.make_room(events.size());
  recording_->append(events);
  if (!client_there_) co_return unsent();
  auto written = co_await out_.write(events);
  co_return outcome(std::move(written));
}

Task<Result<>> RecordingAnswer::finish(std::string_view events) {
  run_.make_room(events.size());
  recording_->append(events);
  recording_->finish();
  if (!client_there_) co_return unsent();
  auto finished = co_await out_.finish(events);
  co_return outcome(std::move(finished));
}

Task<Result<>> RecordingAnswer::fail(const AnswerHead& head, const Error& error) {
  recording_->fail(head, error);
  if (!client_there_) co_return unsent();
  co_return co_await out_.fail(head, error);
}

}  // namespace perigee
