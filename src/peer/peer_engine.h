// A remote site as an Engine: the same OpenAI API, with a site's credential and the hop headers.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "engine/engine.h"
#include "net/http_client.h"

namespace perigee {

// `clock` and `client` must outlive the engine. `credential` is the authorization header's value.
std::shared_ptr<Engine> make_peer_engine(Executor executor, const Clock& clock,
                                         net::HttpClient& client, net::Endpoint endpoint,
                                         std::string credential);

}  // namespace perigee
