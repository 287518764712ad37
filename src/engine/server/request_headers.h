// What an engine reads from a request's headers.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "engine/server/openai_request.h"
#include "net/http_server.h"

namespace perigee::engine_server {

inline constexpr std::string_view kResumeIds = "perigee-resume-ids";  // "12,345"

// x-request-id if it is printable and at most 128 bytes, else a random one.
std::string request_id_of(const net::Request& request);
std::optional<Instant> deadline_of(const net::Request& request, const Clock& clock);
// Salt, class, deadline and tokens to resume from, into every generation. InvalidArgument names
// the header.
Result<> apply_headers(const net::Request& request, const Clock& clock, const llama::Model& model,
                       TextRequest& text);

}  // namespace perigee::engine_server
