// RecordingAnswer: an Answer that is written down as it is given. The first client of an
// `Idempotency-Key` gets its answer through one.
//
// When its client leaves, the work is not given up at once: a client whose connection broke repeats
// its request with the same key and follows the recording. Only after `patience` without any reader
// is whoever works told that the client has left.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "gateway/answer.h"
#include "gateway/idempotency.h"
#include "gateway/recording.h"

namespace perigee {

class RecordingAnswer final : public Answer {
 public:
  // `out` must outlive it.
  RecordingAnswer(Executor executor, Answer& out, IdempotencyTable::Run run);
  ~RecordingAnswer() override;
  RecordingAnswer(const RecordingAnswer&) = delete;
  RecordingAnswer& operator=(const RecordingAnswer&) = delete;

  Task<Result<>> respond(const AnswerHead& head, std::string_view body) override;
  Task<Result<>> begin_stream(const AnswerHead& head) override;
  Task<Result<>> write(std::string_view events) override;
  Task<Result<>> finish(std::string_view events) override;
  Task<Result<>> fail(const AnswerHead& head, const Error& error) override;
  bool started() const override { return recording_->began(); }
  void served_at(const SiteId& site) override { recording_->served_at(site); }
  void release_request() override { out_.release_request(); }
  void watch_client(std::function<void()> left) override;

 private:
  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>, Executor>;
  // What the worker is told when its client took nothing of it: to go on while it is recorded.
  Result<> unsent();
  Result<> outcome(Result<> sent);
  void client_gone();
  void look_for_readers();
  void give_up();

  Answer& out_;
  IdempotencyTable::Run run_;
  std::shared_ptr<Recording> recording_;
  Timer timer_;
  std::function<void()> left_;
  bool client_there_ = true;
  // Of the timer's waits, the one that counts; 0: it is not waiting. A wait that has ended may be
  // told of it late.
  std::uint64_t waiting_ = 0;
  std::uint64_t waits_ = 0;
  std::shared_ptr<RecordingAnswer*> alive_ = std::make_shared<RecordingAnswer*>(this);
};

}  // namespace perigee
