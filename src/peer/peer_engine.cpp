#include "peer/peer_engine.h"

#include <utility>

#include "engine/openai/http_engine.h"

namespace perigee {

std::shared_ptr<Engine> make_peer_engine(Executor executor, const Clock& clock,
                                         net::HttpClient& client, net::Endpoint endpoint,
                                         std::string credential) {
  HttpEngineOptions options;
  options.endpoint = std::move(endpoint);
  options.authorization = std::move(credential);
  return std::make_shared<HttpEngine>(executor, clock, client, std::move(options));
}

}  // namespace perigee
