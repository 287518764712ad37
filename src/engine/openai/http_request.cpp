#include "engine/openai/http_request.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/body_edit.h"
#include "api/headers.h"
#include "api/load.h"
#include "api/message_sum.h"
#include "api/resume_field.h"
#include "api/stream_field.h"
#include "api/usage_scan.h"
#include "base/assert.h"

namespace perigee {
namespace {

constexpr int kTooManyRequests = 429;

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error != std::errc{} || end == text.data() || whole < 0) return std::nullopt;
  return whole;
}

std::string joined(const std::vector<JurisdictionId>& jurisdictions) {
  std::string text;
  for (const JurisdictionId& jurisdiction : jurisdictions) {
    if (!text.empty()) text += ',';
    text += jurisdiction.str();
  }
  return text;
}

}  // namespace

std::string_view operation_path(Operation operation) {
  switch (operation) {
    case Operation::Chat: return "/chat/completions";
    case Operation::Completion: return "/completions";
    case Operation::Embedding: return "/embeddings";
  }
  PERIGEE_ASSERT(false);
}

HttpRequest::HttpRequest(const HttpEngineOptions& options, const Job& job, Instant now,
                         std::vector<api::BodyEdit> changes)
    : target_(options.base_path), body_(job.body) {
  target_ += operation_path(job.operation);
  const RequestContext& context = job.context;
  add("content-type", "application/json");
  add("accept", job.stream ? "text/event-stream" : "application/json");
  add("authorization", options.authorization);
  add(api::headers::kRequestId, context.request_id);
  add(api::headers::kTraceparent, context.traceparent);
  if (options.trusted) {
    add(api::headers::kHop, "1");
    add(api::headers::kTenant, context.tenant.str());
    add(api::headers::kCacheSalt, context.cache_salt);
    add(api::headers::kClass, to_string(context.service_class));
    add(api::headers::kSession, context.session);
    jurisdictions_ = joined(context.jurisdictions);
    add(api::headers::kJurisdictions, jurisdictions_);
    if (context.deadline) {
      const auto left = std::chrono::duration_cast<milliseconds>(*context.deadline - now);
      deadline_ = std::to_string(std::max<std::int64_t>(left.count(), 1));
      add(api::headers::kDeadlineMs, deadline_);
    }
    if (context.seed) seed_ = std::to_string(*context.seed);
    add(api::headers::kSeed, seed_);
    if (context.created > 0) created_ = std::to_string(context.created);
    add(api::headers::kCreated, created_);
    if (job.delivered != nullptr) resume(job);
    if (options.sums()) {
      api::append_sum(sum_, api::sum_of_request(std::span{headers_.data(), header_count_}, *body_));
      add(api::headers::kSum, sum_);
    }
    return;
  }
  // An external engine: its own name for the model, and the usage that metering needs.
  const bool rename = !options.upstream_model.empty() && options.upstream_model != job.model.str();
  const bool ask_usage = job.stream && !job.include_usage;
  if (rename || ask_usage || options.salts_cache || !changes.empty()) {
    api::BodyEdits edits;
    edits.others = std::move(changes);
    if (options.salts_cache) edits.cache_salt = context.cache_salt;
    if (rename) edits.model = options.upstream_model;
    edits.model_span = job.model_span;
    edits.ask_usage = ask_usage;
    edits.stream_options_span = job.stream_options_span;
    body_ = std::make_shared<const std::string>(api::edit_body(*job.body, edits));
  }
}

void HttpRequest::resume(const Job& job) {
  const std::string delivered = api::resume_json(*job.delivered);
  api::BodyEdits edits;
  edits.resume = delivered;
  edits.resume_span = job.resume_span;
  body_ = std::make_shared<const std::string>(api::edit_body(*job.body, edits));
}

void HttpRequest::add(std::string_view name, std::string_view value) {
  if (value.empty()) return;
  PERIGEE_ASSERT(header_count_ < kHeadersMax);
  headers_.at(header_count_++) = net::Header{name, value};
}

net::ClientRequest HttpRequest::view() const {
  net::ClientRequest request;
  request.method = "POST";
  request.target = target_;
  request.headers = std::span{headers_.data(), header_count_};
  request.body = *body_;
  return request;
}

Head read_head(const HttpEngineOptions& options, const net::ClientResponse& response) {
  Head head;
  if (!options.trusted) return head;
  const std::string_view site = response.header(api::headers::kSite);
  if (valid_name(site)) head.site = SiteId{std::string{site}};
  const std::string_view load = response.header(api::headers::kLoad);
  if (!load.empty()) head.load = api::parse_load(load);
  return head;
}

std::optional<Usage> read_usage(const HttpEngineOptions& options,
                                const net::ClientResponse& response) {
  if (!options.trusted) return std::nullopt;
  const std::string_view usage = response.header(api::headers::kUsage);
  return usage.empty() ? std::nullopt : api::parse_usage(usage);
}

std::string read_receipt(const HttpEngineOptions& options, const net::ClientResponse& response) {
  const std::string_view receipt = response.header(api::headers::kReceipt);
  if (!options.trusted || !api::plain_receipt(receipt)) return {};
  return std::string{receipt};
}

bool is_event_stream(const net::ClientResponse& response) {
  return response.header("content-type").starts_with("text/event-stream");
}

Result<Finished> read_answer(std::string body, std::optional<Usage> reported) {
  if (!reported) {
    auto scanned = api::scan_answer_usage(body);
    if (!scanned) return Error{Code::Protocol, "the engine's answer is not a JSON object"};
    reported = *scanned;
  }
  Finished finished;
  finished.usage = *reported;
  finished.body = std::move(body);
  return finished;
}

Refused parse_refused(std::string_view why) {
  for (const Refused known : kAllRefusals) {
    if (why == to_string(known)) return known;
  }
  return Refused::No;
}

Head read_refusal(const HttpEngineOptions& options, const net::ClientResponse& response) {
  Head head = read_head(options, response);
  const std::string_view why = response.header(api::headers::kRefused);
  if (options.trusted) head.refused = parse_refused(why);
  if (head.refused == Refused::No && response.status() == kTooManyRequests) {
    head.refused = Refused::Full;
  }
  return head;
}

std::int64_t read_retry_after_ms(const net::ClientResponse& response) {
  constexpr std::int64_t kDefault_ms = 1000;
  const std::int64_t told = parse_retry_after_ms(response.header(api::headers::kRetryAfter),
                                                 response.header(api::headers::kRetryAfterMs));
  return told == 0 && response.status() == kTooManyRequests ? kDefault_ms : told;
}

std::int64_t parse_retry_after_ms(std::string_view seconds, std::string_view milliseconds) {
  constexpr std::int64_t kSecondsMax = 3600;
  if (const auto fine = whole_number(milliseconds)) return std::min(*fine, kSecondsMax * 1000);
  return std::min(whole_number(seconds).value_or(0), kSecondsMax) * 1000;
}

}  // namespace perigee
