// Gateway: the HTTP face of a site. Finds the route, checks who calls, and hands on; an endpoint
// that is not inference is one function.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/idempotency.h"
#include "gateway/inference.h"
#include "identity/identity.h"
#include "net/http_server.h"

namespace perigee {

// Who may call an endpoint.
enum class Access : std::uint8_t { Public, Tenant, TenantOrOperator, Operator, Site };

// A request whose caller is known (Access::Public: a default Caller).
struct GatewayCall {
  const Caller& caller;
  net::Request& request;
  net::ResponseWriter& out;
  std::string_view request_id;  // the answer's `x-request-id`; empty: it has none
};
using Endpoint = std::function<Task<>(GatewayCall)>;

// IO thread. All that it is given must outlive it.
class Gateway {
 public:
  Gateway(Executor executor, const Clock& clock, const Identity& identity, Inference& inference,
          IdempotencyTable& once);

  // Adds an endpoint; `path` is exact, or a prefix when it ends in '/'. Before the first request.
  void add(std::string_view method, std::string_view path, Access access, Endpoint endpoint);

  // From now on sites' keys count only with their certificates of this grid.
  void require_members(std::string grid) { members_of_ = std::move(grid); }

  // The handler for net::HttpServer.
  Task<> handle(net::Request& request, net::ResponseWriter& out);

 private:
  struct Route {
    std::string method;
    Access access;
    Endpoint endpoint;
  };
  Result<Caller> authenticate(const net::Request& request) const;
  Task<> dispatch(const Route& route, net::Request& request, net::ResponseWriter& out);
  Task<> refuse(net::ResponseWriter& out, Error error);
  Task<> refuse_method(net::ResponseWriter& out, std::string allowed);
  Result<std::unique_ptr<InferenceCall>> read_call(Operation operation,
                                                   const net::Request& request) const;
  Task<> infer(std::unique_ptr<InferenceCall> call, net::ResponseWriter& out);
  Task<> infer_once(std::unique_ptr<InferenceCall> call, net::ResponseWriter& out);
  Result<IdempotencyTable::Entered> enter_once(InferenceCall& call);
  Task<> replay(std::unique_ptr<InferenceCall> call, std::shared_ptr<Recording> recording,
                Answer& answer);
  std::span<const Route> routes_of(std::string_view path) const;

  Executor executor_;
  const Clock& clock_;
  const Identity& identity_;
  Inference& inference_;
  IdempotencyTable& once_;
  std::string members_of_;
  std::map<std::string, std::vector<Route>, std::less<>> routes_;
};

// Sends a JSON body with status 200.
Task<Result<>> respond_json(net::ResponseWriter& out, std::string_view body,
                            std::string_view request_id = {});

}  // namespace perigee
