// ClientHints: what the headers of a request say about how to serve it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "core/inference.h"
#include "net/http_server.h"

namespace perigee {

struct ClientHints {
  std::string request_id;  // empty: none given
  std::optional<ServiceClass> service_class;
  std::optional<Duration> time_left;  // perigee-deadline-ms
  std::vector<JurisdictionId> jurisdictions;
  std::string session;
  std::string traceparent;
  std::string idempotency_key;  // empty: none given, or from a site: the ingress keeps it
  // Believed only from a peer site.
  std::uint32_t hop = 0;
  TenantId tenant;
  std::string cache_salt;
  std::optional<std::uint64_t> seed;
  std::int64_t created = 0;  // 0: not told
};

// Two values of a header that decides who calls or what is allowed are two meanings:
// InvalidArgument.
Result<> refuse_repeated_headers(const net::Request& request);

// InvalidArgument names the header. The peer's headers are read only when `from_site`; Protocol
// when its request was damaged on the way.
Result<ClientHints> read_client_hints(const net::Request& request, bool from_site);

}  // namespace perigee
