#include "control/control_client.h"

#include <array>
#include <utility>
#include <vector>

#include "api/error_body.h"
#include "pki/spiffe_id.h"

namespace perigee::control {
namespace {

constexpr std::size_t kBodyBytesMax = std::size_t{512} * 1024 * 1024;
constexpr std::size_t kErrorBytesMax = 64 * 1024;
// Control sends a heartbeat every five seconds: after three missed ones it is gone.
constexpr Duration kSilenceMax = seconds{16};
constexpr Duration kAnswerTimeout = seconds{15};

net::ClientLimits client_limits() {
  net::ClientLimits limits;
  limits.idle_connections_max = 2;
  limits.head_timeout = kAnswerTimeout;
  limits.read_timeout = kSilenceMax;
  return limits;
}

bool plain_in_path(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-' || c == '/';
}

}  // namespace

std::string percent_encode(std::string_view name) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : name) {
    if (plain_in_path(c)) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(digits[byte >> 4U]);
    encoded.push_back(digits[byte & 15U]);
  }
  return encoded;
}

Result<net::Url> control_url(const std::string& url, const std::string& grid) {
  PERIGEE_TRY(parsed, net::parse_url(url));
  if (!parsed.endpoint.tls_name.empty() && !grid.empty()) {
    parsed.endpoint.tls_name = pki::control_spiffe_id(grid);
  }
  return parsed;
}

ControlClient::ControlClient(Executor executor, const Clock& clock, net::Url url, std::string key,
                             std::shared_ptr<net::TlsClientSource> tls)
    : url_(std::move(url)),
      authorization_(key.empty() ? std::string{} : "Bearer " + key),
      http_(executor, clock, client_limits(), std::move(tls)) {}

Task<Result<std::string>> ControlClient::call(ControlCall call, net::Abort* abort) {
  std::vector<net::Header> headers;
  if (!authorization_.empty()) headers.push_back({"authorization", authorization_});
  if (!call.body.empty()) headers.push_back({"content-type", "application/json"});
  if (!call.if_match.empty()) headers.push_back({"if-match", call.if_match});
  const std::string target = url_.base_path + call.path;
  net::ClientRequest request;
  request.method = call.method;
  request.target = target;
  request.headers = headers;
  request.body = call.body;
  auto sent = co_await http_.send(url_.endpoint, request, abort);
  if (!sent) co_return sent.error();
  net::ClientResponse response = std::move(*sent);
  const bool failed = response.status() >= 400;
  auto body = co_await response.read_all(failed ? kErrorBytesMax : kBodyBytesMax);
  if (!body) co_return body.error();
  if (failed) co_return api::parse_error_body(response.status(), *body);
  co_return std::move(*body);
}

Task<Result<net::ClientResponse>> ControlClient::watch(std::uint64_t from, std::string epoch,
                                                       net::Abort* abort) {
  std::array<net::Header, 1> headers{net::Header{"authorization", authorization_}};
  const std::string target = url_.base_path + "/control/v1/watch?from=" + std::to_string(from) +
                             "&epoch=" + percent_encode(epoch);
  net::ClientRequest request;
  request.method = "GET";
  request.target = target;
  request.headers = headers;
  auto sent = co_await http_.send(url_.endpoint, request, abort);
  if (!sent) co_return sent.error();
  net::ClientResponse response = std::move(*sent);
  if (response.status() == 200) co_return std::move(response);
  auto body = co_await response.read_all(kErrorBytesMax);
  if (!body) co_return body.error();
  co_return api::parse_error_body(response.status(), *body);
}

}  // namespace perigee::control
