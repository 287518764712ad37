#include "gateway/recording.h"

#include <algorithm>

namespace perigee {
namespace {

constexpr std::size_t kPieceBytesMax = std::size_t{64} * 1024;

Error not_held() {
  return Error{
      Code::ResourceExhausted,
      "There is no room to hold the answer to this 'idempotency-key', so it can't be given "
      "twice; if the first request with it still runs, that one goes on."};
}

}  // namespace

void Recording::served_at(const SiteId& site) {
  if (std::ranges::find(sites_, site) == sites_.end()) sites_.push_back(site);
}

void Recording::begin_stream(const AnswerHead& head) {
  if (state_ != State::Running) return;
  head_ = head;
  began_ = streamed_ = true;
  notify();
}

void Recording::append(std::string_view events) {
  if (state_ != State::Running) return;
  hold(events);
  notify();
}

void Recording::respond(const AnswerHead& head, std::string_view body) {
  complete_ = true;
  if (state_ != State::Running) return;
  head_ = head;
  began_ = true;
  hold(body);
  if (state_ == State::Running) end(State::Answered);
  notify();
}

void Recording::finish() {
  complete_ = true;
  if (state_ == State::Running) end(State::Answered);
  notify();
}

void Recording::fail(const AnswerHead& head, const Error& error) {
  if (state_ != State::Running) return;
  if (!began_) head_ = head;
  error_ = error;
  end(State::Failed);
  notify();
}

void Recording::give_up_bytes() {
  drop_bytes();
  end(State::TooLong);
  notify();
}

void Recording::hold(std::string_view bytes) {
  if (bytes_->size() + bytes.size() > bytes_max_) {
    drop_bytes();
    return end(State::TooLong);
  }
  bytes_->append(bytes);
  held_->add(bytes.size());
}

void Recording::drop_bytes() {
  if (bytes_->empty()) return;
  held_->drop(bytes_->size());
  bytes_ = std::make_shared<std::string>();
}

void Recording::end(State state) {
  state_ = state;
  bytes_->shrink_to_fit();
}

void Recording::notify() {
  for (Reader* reader : readers_) reader->notifier_.notify();
}

Recording::Reader::Reader(Recording& recording, Executor executor)
    : recording_(recording), notifier_(executor) {
  recording_.readers_.push_back(this);
  if (recording_.readers_changed_) recording_.readers_changed_();
}

Recording::Reader::~Reader() {
  std::erase(recording_.readers_, this);
  if (recording_.readers_changed_) recording_.readers_changed_();
}

void Recording::Reader::leave() {
  left_ = true;
  notifier_.notify();
}

Task<> follow(std::shared_ptr<Recording> recording, Executor executor, Answer& out) {
  using State = Recording::State;
  Recording::Reader reader{*recording, executor};
  out.release_request();
  out.watch_client([&reader] { reader.leave(); });
  AnswerHead head;
  std::size_t given = 0;
  for (bool begun = false; !reader.left();) {
    const State state = recording->state();
    if (!begun && recording->began()) {
      begun = true;
      head = recording->head();
      head.replayed = true;
      if (recording->streamed() && state != State::TooLong) {
        auto started = co_await out.begin_stream(head);
        if (!started) break;
        continue;
      }
    }
    if (recording->streamed() && given < recording->bytes().size()) {
      const std::string piece = recording->bytes().substr(given, kPieceBytesMax);
      auto written = co_await out.write(piece);
      if (!written) break;
      given += piece.size();
      continue;
    }
    if (state == State::Running) {
      co_await reader.wait();
      continue;
    }
    out.watch_client(nullptr);
    if (state == State::Answered && recording->streamed()) {
      auto finished = co_await out.finish({});
      static_cast<void>(finished);
    } else if (state == State::Answered) {
      const std::shared_ptr<const std::string> body = recording->whole();
      auto responded = co_await out.respond(head, *body);
      static_cast<void>(responded);
    } else {
      if (!begun) head = recording->head();
      const Error error = state == State::Failed ? recording->error() : not_held();
      auto told = co_await out.fail(head, error);
      static_cast<void>(told);
    }
    co_return;
  }
  out.watch_client(nullptr);
}

}  // namespace perigee
