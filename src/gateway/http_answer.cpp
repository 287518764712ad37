#include "gateway/http_answer.h"

#include <array>
#include <string>

#include "api/error_body.h"
#include "api/headers.h"
#include "api/load.h"
#include "api/message_sum.h"
#include "api/stream_field.h"

namespace perigee {
namespace {

// As Go prints a duration, which is what OpenAI's clients read: "120ms", "1s", "6m0s".
std::string go_duration(Duration duration) {
  const auto ms = std::chrono::ceil<milliseconds>(duration).count();
  if (ms < 1000) return std::to_string(ms) + "ms";
  const auto whole = (ms + 999) / 1000;
  const std::string minutes = whole >= 60 ? std::to_string(whole / 60) + "m" : "";
  return minutes + std::to_string(whole % 60) + "s";
}

// The headers of an answer, with the texts they point to.
class HeaderTexts {
 public:
  explicit HeaderTexts(std::string_view content_type) { add("content-type", content_type); }

  void add(std::string_view name, std::string_view value) {
    if (!value.empty()) headers_.at(count_++) = net::Header{name, value};
  }
  void add(const AnswerHead& head) {
    add(api::headers::kRequestId, head.request_id);
    add(api::headers::kSite, head.site);
    add(api::headers::kRoute, head.route);
    if (head.load) load_ = api::format_load(*head.load);
    if (head.usage) usage_ = api::format_usage(*head.usage);
    if (head.resumed) resumed_ = std::to_string(*head.resumed);
    add(api::headers::kLoad, load_);
    add(api::headers::kResumed, resumed_);
    add(api::headers::kUsage, usage_);
    add(api::headers::kRefused, to_string(head.refused));
    add(api::headers::kReceipt, head.receipt);
    if (head.replayed) add(api::headers::kReplayed, "true");
    if (head.rates != nullptr && !head.replayed) add(*head.rates);
  }
  void add(const RateState& rates) {
    namespace names = api::headers;
    if (rates.requests) {
      add_rate(names::kLimitRequests, std::to_string(rates.requests->limit));
      add_rate(names::kRemainingRequests, std::to_string(rates.requests->remaining));
      add_rate(names::kResetRequests, go_duration(rates.requests->reset));
    }
    if (rates.tokens) {
      add_rate(names::kLimitTokens, std::to_string(rates.tokens->limit));
      add_rate(names::kRemainingTokens, std::to_string(rates.tokens->remaining));
      add_rate(names::kResetTokens, go_duration(rates.tokens->reset));
    }
  }
  void add(const Error& error) {
    if (error.code == Code::Unauthenticated) {
      add(api::headers::kAuthenticate, api::headers::kBearer);
    }
    if (error.retry_after_ms <= 0) return;
    retry_after_ = std::to_string((error.retry_after_ms + 999) / 1000);
    retry_after_ms_ = std::to_string(error.retry_after_ms);
    add(api::headers::kRetryAfter, retry_after_);
    add(api::headers::kRetryAfterMs, retry_after_ms_);
  }
  // Of a whole answer to a site, after the others.
  void add_sum(const AnswerHead& head, std::string_view body) {
    if (!head.for_site) return;
    api::append_sum(sum_, api::sum_of(usage_, body));
    add(api::headers::kSum, sum_);
  }
  std::span<const net::Header> view() const { return std::span{headers_.data(), count_}; }

 private:
  void add_rate(std::string_view name, std::string value) {
    std::string& kept = rates_.at(rate_count_++);
    kept = std::move(value);
    add(name, kept);
  }

  std::array<net::Header, 23> headers_{};
  std::size_t count_ = 0;
  std::array<std::string, 6> rates_;
  std::size_t rate_count_ = 0;
  std::string load_;
  std::string usage_;
  std::string resumed_;
  std::string retry_after_;
  std::string retry_after_ms_;
  std::string sum_;
};

constexpr std::string_view kJson = "application/json";

}  // namespace

Task<Result<>> HttpAnswer::respond(const AnswerHead& head, std::string_view body) {
  HeaderTexts headers{kJson};
  headers.add(head);
  headers.add_sum(head, body);
  co_return co_await out_.respond(200, headers.view(), body);
}

Task<Result<>> HttpAnswer::begin_stream(const AnswerHead& head) {
  HeaderTexts headers{"text/event-stream; charset=utf-8"};
  headers.add("cache-control", "no-cache");
  headers.add("x-accel-buffering", "no");
  headers.add(head);
  if (head.for_site) headers.add(api::headers::kSum, api::kSumOfEvents);
  for_site_ = head.for_site;
  co_return co_await out_.begin(200, headers.view());
}

Task<Result<>> HttpAnswer::finish(std::string_view events) {
  if (!events.empty()) {
    auto written = co_await out_.write(events);
    if (!written) co_return std::move(written).error();
  }
  co_return co_await out_.finish();
}

Task<Result<>> HttpAnswer::fail(const AnswerHead& head, const Error& error) {
  const std::string body = api::error_body(error);
  if (started()) {
    std::string event;
    if (for_site_) api::append_summed_error_line(event, to_string(head.refused), body);
    event.append("data: ").append(body).append("\n\n");
    co_return co_await finish(event);
  }
  HeaderTexts headers{kJson};
  headers.add(head);
  headers.add(error);
  headers.add_sum(head, body);
  co_return co_await out_.respond(api::http_status(error), headers.view(), body);
}

Task<Result<>> respond_error(net::ResponseWriter& out, const Error& error,
                             std::string_view request_id, std::string_view allowed_methods) {
  HeaderTexts headers{kJson};
  headers.add(api::headers::kRequestId, request_id);
  headers.add(api::headers::kAllow, allowed_methods);
  headers.add(error);
  const std::string body = api::error_body(error);
  co_return co_await out.respond(api::http_status(error), headers.view(), body);
}

}  // namespace perigee
