#include "net/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>

#include "net/socket_address.h"

namespace perigee::net {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

Error malformed(std::string_view text) {
  return Error{Code::InvalidArgument, "'" + std::string{text} +
                                          "' is no address: expected HOST:PORT, [IPV6]:PORT or "
                                          "unix:/PATH"};
}

bool valid_host(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_';
    if (!ok) return false;
  }
  return true;
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  return error == std::errc{} && at == end;
}

}  // namespace

bool Endpoint::is_loopback() const {
  if (is_unix()) return true;  // also one whose path is too long to listen on
  const Result<std::optional<SocketAddress>> address = literal_address(*this);
  return address && address->has_value() && net::is_loopback(**address);
}

std::string Endpoint::to_string() const {
  if (is_unix()) return std::string{kUnixPrefix} + path;
  const bool v6 = host.find(':') != std::string::npos;
  std::string text;
  if (v6) text += '[';
  text += host;
  text += v6 ? "]:" : ":";
  text += std::to_string(port);
  return text;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  Endpoint endpoint;
  if (text.starts_with(kUnixPrefix)) {
    endpoint.path = text.substr(kUnixPrefix.size());
    if (endpoint.path.empty() || endpoint.path.find('\0') != std::string::npos) {
      return malformed(text);
    }
    return endpoint;
  }
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find("]:");
    if (close == std::string_view::npos) return malformed(text);
    endpoint.host = text.substr(1, close - 1);
    in6_addr ignored{};
    if (::inet_pton(AF_INET6, endpoint.host.c_str(), &ignored) != 1) return malformed(text);
    port = text.substr(close + 2);
  } else {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || !valid_host(text.substr(0, colon)))
      return malformed(text);
    endpoint.host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (!parse_port(port, endpoint.port)) return malformed(text);
  return endpoint;
}

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kPlain = "http://";
  constexpr std::string_view kSecure = "https://";
  const auto malformed_url = [&](std::string_view why) {
    return Error{Code::InvalidArgument,
                 "'" + std::string{text} + "' is no usable URL: " + std::string{why}};
  };
  if (text.starts_with(kUnixPrefix)) {
    PERIGEE_TRY(endpoint, parse_endpoint(text));
    return Url{std::move(endpoint), {}};
  }
  const bool secure = text.starts_with(kSecure);
  if (!secure && !text.starts_with(kPlain)) {
    return malformed_url("expected http://HOST:PORT[/BASE] or https://HOST:PORT[/BASE]");
  }
  std::string_view rest = text.substr(secure ? kSecure.size() : kPlain.size());
  const std::size_t slash = rest.find('/');
  std::string authority{rest.substr(0, slash)};
  const bool has_port = authority.starts_with('[') ? authority.find("]:") != std::string::npos
                                                   : authority.find(':') != std::string::npos;
  if (!has_port) authority += secure ? ":443" : ":80";
  PERIGEE_TRY(endpoint, parse_endpoint(authority));
  if (secure) endpoint.tls_name = endpoint.host;
  Url url{std::move(endpoint), {}};
  if (slash != std::string_view::npos) url.base_path = rest.substr(slash);
  while (url.base_path.ends_with('/')) url.base_path.pop_back();
  for (const char c : url.base_path) {
    if (c <= ' ' || c >= 0x7f || c == '#' || c == '?') {
      return malformed_url("its path has a character that does not belong there");
    }
  }
  return url;
}

}  // namespace perigee::net
