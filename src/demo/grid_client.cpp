#include "demo/grid_client.h"

#include <boost/json.hpp>
#include <optional>

#include "api/error_body.h"
#include "api/headers.h"
#include "demo/chat_reader.h"

namespace perigee::demo {
namespace {

constexpr std::size_t kBodyBytesMax = std::size_t{8} * 1024 * 1024;
constexpr std::uint32_t kAnswerTokensMax = 96;

net::ClientLimits limits() {
  net::ClientLimits limits;
  limits.head_timeout = seconds{20};
  limits.read_timeout = seconds{20};
  return limits;
}

std::vector<net::Header> headers_of(const GridCall& call, const std::string& authorization) {
  std::vector<net::Header> headers;
  if (!authorization.empty()) headers.push_back({"authorization", authorization});
  if (!call.body.empty()) headers.push_back({"content-type", "application/json"});
  for (const auto& [name, value] : call.headers) headers.push_back({name, value});
  return headers;
}

// `call` must live until it returns.
Task<Result<net::ClientResponse>> send(net::HttpClient& client, const GridCall& call) {
  PERIGEE_CO_TRY(url, net::parse_url(call.url));
  const std::string path = url.base_path + call.path;
  const std::string authorization = call.key.empty() ? std::string{} : "Bearer " + call.key;
  const std::vector<net::Header> headers = headers_of(call, authorization);
  net::ClientRequest request;
  request.method = call.method;
  request.target = path;
  request.headers = headers;
  request.body = call.body;
  co_return co_await client.send(url.endpoint, request);
}

Task<Result<std::string>> read_body(net::HttpClient& client, const GridCall& call) {
  auto sent = co_await send(client, call);
  if (!sent) co_return std::move(sent).error();
  net::ClientResponse response = std::move(*sent);
  auto body = co_await response.read_all(kBodyBytesMax);
  if (!body) co_return std::move(body).error();
  if (response.status() >= 400) co_return api::parse_error_body(response.status(), *body);
  co_return std::move(*body);
}

GridCall call_of(const Question& question) {
  GridCall call;
  call.url = question.url;
  call.key = question.key;
  call.method = "POST";
  call.path = "/v1/chat/completions";
  ChatRequest request;
  request.model = question.model;
  request.messages.push_back({"user", question.text});
  request.tokens_max = kAnswerTokensMax;
  call.body = chat_body(request);
  if (!question.jurisdictions.empty()) {
    call.headers.emplace_back(api::headers::kJurisdictions, question.jurisdictions);
  }
  return call;
}

// Lines of the exposition that say 1: perigee_engine_up{engine="...",model="..."} 1
std::size_t lines_that_say_one(std::string_view exposition, std::string_view begin) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < exposition.size();) {
    const std::string_view line = exposition.substr(at, exposition.find('\n', at) - at);
    if (line.starts_with(begin) && line.ends_with(" 1")) ++count;
    at += line.size() + 1;
  }
  return count;
}

}  // namespace

GridClient::GridClient(Executor executor, const Clock& clock)
    : clock_(clock), client_(executor, clock, limits()) {}

Task<Result<boost::json::value>> GridClient::call(GridCall call) {
  auto body = co_await read_body(client_, call);
  if (!body) co_return std::move(body).error();
  boost::system::error_code failed;
  boost::json::value json =
      body->empty() ? boost::json::value{} : boost::json::parse(*body, failed);
  if (failed) co_return Error{Code::Protocol, call.url + call.path + " did not answer with JSON"};
  co_return json;
}

Task<bool> GridClient::ready(std::string url) {
  GridCall call;
  call.url = std::move(url);
  call.path = "/readyz";
  auto body = co_await read_body(client_, call);
  co_return body.has_value();
}

Task<bool> GridClient::has_ready_engine(std::string url) {
  GridCall call;
  call.url = std::move(url);
  call.path = "/metrics";
  auto body = co_await read_body(client_, call);
  co_return body.has_value() && lines_that_say_one(*body, "perigee_engine_up{") > 0;
}

Task<std::size_t> GridClient::links_up(std::string url) {
  GridCall call;
  call.url = std::move(url);
  call.path = "/metrics";
  auto body = co_await read_body(client_, call);
  if (!body) co_return 0;
  co_return lines_that_say_one(*body, "perigee_peer_up{") +
      lines_that_say_one(*body, "perigee_control_connected ");
}

Task<Result<AnswerReport>> GridClient::ask(Question question) {
  const GridCall call = call_of(question);
  const Instant started = clock_.now();
  auto sent = co_await send(client_, call);
  if (!sent) co_return std::move(sent).error();
  net::ClientResponse response = std::move(*sent);
  if (response.status() >= 400) {
    auto body = co_await response.read_all(kBodyBytesMax);
    co_return api::parse_error_body(response.status(), body ? *body : std::string{});
  }
  AnswerReport report;
  report.site = response.header(api::headers::kSite);
  report.reason = response.header(api::headers::kRoute);
  ChatReader reader;
  std::optional<Instant> first;
  const auto on_text = [&](std::string_view) {
    if (!first) first = clock_.now();
  };
  for (;;) {
    auto piece = co_await response.read_some();
    if (!piece) co_return std::move(piece).error();
    if (piece->empty()) break;
    PERIGEE_CO_CHECK(reader.feed(*piece, on_text));
  }
  PERIGEE_CO_TRY(answer, reader.finish());
  const Instant ended = clock_.now();
  report.text = std::move(answer.text);
  report.tokens = answer.completion_tokens;
  report.ttft_ms = to_ms(first.value_or(ended) - started);
  report.total_ms = to_ms(ended - started);
  co_return report;
}

}  // namespace perigee::demo
