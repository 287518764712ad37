#include "net/http_server.h"

#include "net/server_connection.h"
#include "net/server_core.h"

namespace perigee::net {

HttpServer::HttpServer(Executor executor, const Clock& clock, ServerLimits limits, Handler handler)
    : core_(std::make_shared<ServerCore>(executor, clock, limits, std::move(handler))) {}

HttpServer::~HttpServer() {
  core_->stop_listening();
  core_->close_all();
}

Result<Endpoint> HttpServer::listen(const Endpoint& endpoint) { return core_->listen(endpoint); }

void HttpServer::use_tls(std::shared_ptr<const TlsServer> tls, bool plain_from_anywhere) {
  core_->tls = std::move(tls);
  core_->plain_from_anywhere = plain_from_anywhere;
}

void HttpServer::cut_members(const std::function<bool(std::string_view)>& refused) {
  core_->cut_members(refused);
}

std::string_view Request::member() const {
  return tls_peer == nullptr ? std::string_view{} : std::string_view{tls_peer->spiffe_id};
}

Task<void> HttpServer::shut_down(Duration grace, Duration at_most) {
  return ServerCore::shut_down(core_, grace, at_most);
}

std::size_t HttpServer::connections() const { return core_->connections(); }

std::size_t HttpServer::body_bytes() const { return core_->body_bytes; }

}  // namespace perigee::net
