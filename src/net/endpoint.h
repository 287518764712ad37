// Endpoint: where to listen or connect: "127.0.0.1:8080", "[::1]:8080", "unix:/run/perigee.sock".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace perigee::net {

struct Endpoint {
  std::string host;  // literal IP address or host name; empty for a Unix socket
  std::uint16_t port = 0;
  std::string path;  // of a Unix socket; else empty
  // Whom to find behind TLS: a host name, or a member's "spiffe://..."; empty: no TLS. For clients.
  std::string tls_name = {};

  bool is_unix() const { return !path.empty(); }
  // 127.0.0.0/8, ::1, localhost or a Unix socket. Anything else needs TLS.
  bool is_loopback() const;
  std::string to_string() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// InvalidArgument says what was expected. Accepts "HOST:PORT", "[V6]:PORT", "unix:PATH".
Result<Endpoint> parse_endpoint(std::string_view text);

// "http://host:port/base" or "https://..." split. `base_path` has no trailing slash. Of https the
// endpoint's `tls_name` is the host.
struct Url {
  Endpoint endpoint;
  std::string base_path;
};
Result<Url> parse_url(std::string_view text);

}  // namespace perigee::net
