#include "cli/http_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>
#include <exception>
#include <optional>

#include "api/error_body.h"
#include "api/headers.h"
#include "base/clock.h"
#include "cli/http_calls.h"
#include "cli/tls_trust.h"
#include "net/http_client.h"
#include "pki/spiffe_id.h"

namespace perigee::cli {
namespace {

constexpr std::size_t kBodyBytesMax = std::size_t{64} * 1024 * 1024;

using PieceSink = std::function<bool(std::string_view)>;

Error explain(Error error, const Target& target) {
  if (error.code == Code::Unavailable) {
    error.message = fmt::format("nothing answers at {} (from {}): {}. Is it running?", target.url,
                                target.origin, error.message);
  } else if (error.code == Code::DeadlineExceeded) {
    error.message =
        fmt::format("{} did not answer in time; try again, or look at its log", target.url);
  }
  return error;
}

std::vector<net::Header> headers_of(const Call& call, const std::string& authorization) {
  std::vector<net::Header> headers;
  headers.push_back({"user-agent", "perigee-cli"});
  if (!authorization.empty()) headers.push_back({"authorization", authorization});
  if (!call.body.empty()) headers.push_back({"content-type", "application/json"});
  for (const auto& [name, value] : call.headers) headers.push_back({name, value});
  return headers;
}

Result<net::Url> address_of(const std::string& url) {
  if (!url.starts_with("unix:")) return net::parse_url(url);
  PERIGEE_TRY(endpoint, net::parse_endpoint(url));
  return net::Url{std::move(endpoint), {}};
}

// What an exchange runs on.
struct Io {
  Executor executor;
  const Clock& clock;
};

net::ClientLimits limits_of(Duration timeout) {
  net::ClientLimits limits;
  limits.head_timeout = timeout;
  limits.read_timeout = timeout;
  limits.connect_timeout = std::min(limits.connect_timeout, timeout);
  return limits;
}

// Over https: whom to believe, and whom to expect behind the address.
Result<std::shared_ptr<net::TlsClientSource>> secure(const Target& target, net::Url& url) {
  if (url.endpoint.tls_name.empty()) return std::shared_ptr<net::TlsClientSource>{};
  if (target.tls) return target.tls;
  PERIGEE_TRY(trust, tls_trust());
  if (target.control && !trust.grid.empty()) {
    url.endpoint.tls_name = pki::control_spiffe_id(trust.grid);
  }
  return trust.tls;
}

// `target`, `call` and `sink` outlive the coroutine: the caller waits for its end.
Task<Result<Answer>> exchange(Io caller, const Target& target, const Call& call,
                              const PieceSink* sink) {
  PERIGEE_CO_TRY(url, address_of(target.url));
  PERIGEE_CO_TRY(tls, secure(target, url));
  net::HttpClient client{caller.executor, caller.clock, limits_of(call.timeout), tls};
  const std::string path = url.base_path + call.path;
  const std::string authorization = target.key.empty() ? "" : "Bearer " + target.key;
  const std::vector<net::Header> headers = headers_of(call, authorization);
  net::ClientRequest request;
  request.method = call.method;
  request.target = path;
  request.headers = headers;
  request.body = call.body;
  auto sent = co_await client.send(url.endpoint, request);
  if (!sent) co_return std::move(sent).error();
  net::ClientResponse response = std::move(*sent);
  Answer answer;
  answer.status = response.status();
  answer.site = response.header(api::headers::kSite);
  answer.route = response.header(api::headers::kRoute);
  answer.request_id = response.header(api::headers::kRequestId);
  if (sink == nullptr || answer.status < 200 || answer.status > 299) {
    auto body = co_await response.read_all(kBodyBytesMax);
    if (!body) co_return std::move(body).error();
    answer.body = std::move(*body);
    co_return answer;
  }
  for (;;) {
    auto piece = co_await response.read_some();
    if (!piece) co_return std::move(piece).error();
    if (piece->empty() || !(*sink)(*piece)) co_return answer;
  }
}

Result<boost::json::value> json_of(const Answer& answer, const Target& target, const Call& call) {
  if (answer.status >= 400) return api::parse_error_body(answer.status, answer.body);
  boost::system::error_code failure;
  boost::json::value json = boost::json::parse(answer.body.empty() ? "null" : answer.body, failure);
  if (failure) {
    return Error{Code::Protocol,
                 fmt::format("{}{} did not answer with JSON; is it a Perigee address?", target.url,
                             call.path)};
  }
  return json;
}

}  // namespace

struct HttpCaller::State {
  SystemClock clock;
  asio::io_context context{1};
};

HttpCaller::HttpCaller() : state_(std::make_unique<State>()) {}
HttpCaller::~HttpCaller() = default;

Result<Answer> HttpCaller::call(const Target& target, const Call& call) {
  return stream(target, call, nullptr);
}

Result<Answer> HttpCaller::stream(const Target& target, const Call& call,
                                  const std::function<bool(std::string_view)>& piece) {
  const Io io{state_->context.get_executor(), state_->clock};
  std::optional<Result<Answer>> outcome;
  asio::co_spawn(state_->context, exchange(io, target, call, piece ? &piece : nullptr),
                 [&outcome](const std::exception_ptr& failure, Result<Answer> result) {
                   if (failure) std::rethrow_exception(failure);
                   outcome = std::move(result);
                 });
  state_->context.restart();
  while (!outcome && state_->context.run_one() > 0) {
  }
  if (!outcome) return Error{Code::Internal, "the request ended without an answer"};
  if (!*outcome) return explain(std::move(*outcome).error(), target);
  return std::move(**outcome);
}

Result<boost::json::value> call_json(HttpCaller& caller, const Target& target, const Call& call) {
  PERIGEE_TRY(answer, caller.call(target, call));
  return json_of(answer, target, call);
}

std::vector<Result<boost::json::value>> call_all_json(const std::vector<Request>& requests) {
  const SystemClock clock;
  asio::io_context context{1};
  const Io io{context.get_executor(), clock};
  std::vector<Result<boost::json::value>> answers(
      requests.size(), Error{Code::Internal, "the request ended without an answer"});
  std::size_t left = requests.size();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Request& request = requests[i];
    asio::co_spawn(context, exchange(io, request.target, request.call, nullptr),
                   [&, i](const std::exception_ptr& failure, Result<Answer> result) {
                     --left;
                     if (failure) return;
                     const Request& asked = requests[i];
                     answers[i] = result ? json_of(*result, asked.target, asked.call)
                                         : explain(std::move(result).error(), asked.target);
                   });
  }
  while (left > 0 && context.run_one() > 0) {
  }
  return answers;
}

}  // namespace perigee::cli
