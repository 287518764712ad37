// The headers by which clients and sites say how to serve a request.
#include <string>

#include "fuzz/fuzz.h"
#include "gateway/client_hints.h"
#include "net/http1_parser.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const std::string head = "POST / HTTP/1.1\r\nhost: a\r\n" + std::string{text} + "\r\n\r\n";
  const Piece piece = exact(head);
  net::http1::RequestHead parsed;
  if (net::http1::parse_request_head(piece.view(), {}, parsed) != net::http1::Progress::Done)
    return;
  net::Request request;
  request.method = parsed.method;
  request.path = parsed.path;
  request.headers = parsed.headers;
  const bool once = refuse_repeated_headers(request).has_value();
  for (const bool from_site : {false, true}) {
    const auto hints = read_client_hints(request, from_site);
    if (!hints) {
      PERIGEE_PROPERTY(hints.error().code == Code::InvalidArgument);
      PERIGEE_PROPERTY(!hints.error().param.empty());
      continue;
    }
    if (!once) continue;
    PERIGEE_PROPERTY(hints->request_id.size() <= 128);
    PERIGEE_PROPERTY(hints->idempotency_key.size() <= 255);
    PERIGEE_PROPERTY(hints->jurisdictions.size() <= 64);
    PERIGEE_PROPERTY(!hints->time_left || *hints->time_left > Duration{});
    PERIGEE_PROPERTY(from_site == (hints->hop == 1));
    PERIGEE_PROPERTY(from_site || (hints->tenant.str().empty() && hints->cache_salt.empty()));
    PERIGEE_PROPERTY(!from_site || hints->idempotency_key.empty());
  }
}

}  // namespace perigee::fuzz
