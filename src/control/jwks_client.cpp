#include "control/jwks_client.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "directory/json_fields.h"
#include "directory/records.h"
#include "identity/bearer_tokens/jwk_set.h"

namespace perigee::control {
namespace {

namespace json = boost::json;
using Timer = asio::steady_timer::rebind_executor<Executor>::other;

constexpr std::array<std::string_view, 10> kKeptMembers{"kty", "kid", "use", "key_ops", "alg",
                                                        "n",   "e",   "crv", "x",       "y"};

net::ClientLimits client_limits() {
  net::ClientLimits limits;
  limits.idle_connections_max = 0;  // one call in minutes
  limits.connect_timeout = seconds{5};
  limits.head_timeout = kJwksFetchTimeout;
  limits.read_timeout = kJwksFetchTimeout;
  return limits;
}

Error failed(const std::string& url, const std::string& why) {
  return {Code::FailedPrecondition, "the keys at " + url + " can't be fetched: " + why, "jwks_url"};
}

Task<Result<std::string>> get(net::HttpClient& http, net::Url url,
                              std::shared_ptr<net::Abort> abort) {
  const std::array<net::Header, 1> headers{net::Header{"accept", "application/json"}};
  const std::string target = url.base_path.empty() ? "/" : url.base_path;
  net::ClientRequest request;
  request.method = "GET";
  request.target = target;
  request.headers = headers;
  auto sent = co_await http.send(std::move(url.endpoint), request, abort.get());
  if (!sent) co_return sent.error();
  net::ClientResponse response = std::move(*sent);
  const int status = response.status();
  if (status >= 300 && status < 400) {
    co_return Error{Code::FailedPrecondition,
                    "it answers with a redirect, and those are not followed: name where it leads"};
  }
  if (status != 200) {
    co_return Error{Code::FailedPrecondition, "it answers with status " + std::to_string(status)};
  }
  co_return co_await response.read_all(kJwksFetchedBytesMax);
}

}  // namespace

Result<net::Url> parse_jwks_url(const std::string& text) {
  auto url = net::parse_url(text);
  if (!url) return Error{Code::InvalidArgument, "`jwks_url`: " + url.error().message, "jwks_url"};
  const bool secure = !url->endpoint.tls_name.empty();
  if (secure || (url->endpoint.is_loopback() && !url->endpoint.is_unix())) return url;
  return Error{Code::InvalidArgument,
               "`jwks_url` must begin with https://: who can change the keys on their way is every "
               "tenant",
               "jwks_url"};
}

Result<std::string> reduced_jwks(std::string_view text) {
  PERIGEE_CHECK(JwkSet::parse(text));
  PERIGEE_TRY(object, parse_json_object(text));
  json::array kept;
  for (const json::value& key : object.at("keys").as_array()) {
    json::object reduced;
    if (!key.is_object()) continue;
    for (const std::string_view member : kKeptMembers) {
      const json::value* value = key.get_object().if_contains(member);
      if (value != nullptr) reduced[member] = *value;
    }
    kept.emplace_back(std::move(reduced));
  }
  std::string reduced_set = json::serialize(json::object{{"keys", std::move(kept)}});
  if (reduced_set.size() <= kJwksBytesMax) return reduced_set;
  return Error{Code::InvalidArgument, "it is longer than 32 KiB, also without certificates",
               "jwks"};
}

Result<std::unique_ptr<JwksClient>> JwksClient::make(Executor executor, const Clock& clock,
                                                     const std::string& authorities_pem) {
  net::TlsClientOptions options;
  options.authorities_pem = authorities_pem;
  PERIGEE_TRY(tls, net::TlsClient::make(options));
  auto source = std::make_shared<net::TlsClientSource>(std::move(tls));
  return std::unique_ptr<JwksClient>{new JwksClient{executor, clock, std::move(source)}};
}

JwksClient::JwksClient(Executor executor, const Clock& clock,
                       std::shared_ptr<net::TlsClientSource> tls)
    : executor_(executor), http_(executor, clock, client_limits(), std::move(tls)) {}

Task<Result<std::string>> JwksClient::fetch(std::string url) {
  auto parsed = parse_jwks_url(url);
  if (!parsed) co_return parsed.error();
  auto abort = std::make_shared<net::Abort>();
  Timer late{executor_, kJwksFetchTimeout};
  late.async_wait([abort](const boost::system::error_code& in_time) {
    if (!in_time) abort->abort();
  });
  auto got = co_await get(http_, std::move(*parsed), abort);
  late.cancel();
  if (abort->aborted()) co_return failed(url, "it takes longer than ten seconds");
  if (!got) co_return failed(url, got.error().message);
  auto reduced = reduced_jwks(*got);
  if (!reduced) co_return failed(url, reduced.error().message);
  co_return std::move(*reduced);
}

}  // namespace perigee::control
