// HttpAnswer: an Answer over HTTP.
#pragma once

#include "gateway/answer.h"
#include "net/http_server.h"

namespace perigee {

class HttpAnswer final : public Answer {
 public:
  // `out` must outlive it.
  explicit HttpAnswer(net::ResponseWriter& out) : out_(out) {}
  Task<Result<>> respond(const AnswerHead& head, std::string_view body) override;
  Task<Result<>> begin_stream(const AnswerHead& head) override;
  Task<Result<>> write(std::string_view events) override { return out_.write(events); }
  Task<Result<>> finish(std::string_view events) override;
  Task<Result<>> fail(const AnswerHead& head, const Error& error) override;
  bool started() const override { return out_.started(); }
  void release_request() override { out_.release_request(); }
  void watch_client(std::function<void()> left) override { out_.watch_client(std::move(left)); }

 private:
  net::ResponseWriter& out_;
  bool for_site_ = false;  // of a stream that has begun
};

// Sends an error as status, body and headers; for endpoints that are not inference. A 405 says in
// `allowed_methods` ("GET, HEAD") what the path takes.
Task<Result<>> respond_error(net::ResponseWriter& out, const Error& error,
                             std::string_view request_id = {},
                             std::string_view allowed_methods = {});

}  // namespace perigee
