// What an engine reads from a request's headers.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "engine/server/openai_request.h"
#include "net/http_server.h"

namespace perigee::engine_server {

// x-request-id if it is printable and at most 128 bytes, else a random one.
std::string request_id_of(const net::Request& request);
std::optional<Instant> deadline_of(const net::Request& request, const Clock& clock);
// When the answer was made, in seconds since 1970: as the ingress says, else now.
std::int64_t created_of(const net::Request& request, const Clock& clock);
// Salt, class, deadline and seed (unless the body names one), into every generation.
// InvalidArgument names the header.
Result<> apply_headers(const net::Request& request, const Clock& clock, TextRequest& text);

}  // namespace perigee::engine_server
