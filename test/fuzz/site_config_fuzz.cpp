// TOML, and a site's own file.
#include <string>

#include "fuzz/fuzz.h"
#include "net/endpoint.h"
#include "site/config.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  const auto config = parse_site_config(piece.view(), "/nowhere/site.toml", nullptr);
  if (!config) {
    PERIGEE_PROPERTY(config.error().code == Code::InvalidArgument);
    PERIGEE_PROPERTY(config.error().message.find("site.toml") != std::string::npos);
    return;
  }
  PERIGEE_PROPERTY(config->listen.is_loopback());
  PERIGEE_PROPERTY(valid_name(config->name.str()));
  PERIGEE_PROPERTY(config->requests_max >= 1 && config->http.connections_max >= 1);
  const auto endpoint = net::parse_endpoint(config->listen.to_string());
  PERIGEE_PROPERTY(endpoint && *endpoint == config->listen);
  for (const auto& [site, address] : config->peer_addresses) {
    PERIGEE_PROPERTY(valid_name(site.str()) && address.is_loopback());
  }
}

}  // namespace perigee::fuzz
