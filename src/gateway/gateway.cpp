#include "gateway/gateway.h"

#include <algorithm>
#include <array>
#include <optional>

#include "api/headers.h"
#include "gateway/http_answer.h"
#include "gateway/recording_answer.h"
#include "identity/member_check.h"

namespace perigee {
namespace {

std::optional<Operation> operation_of(std::string_view path) {
  if (path == "/v1/chat/completions") return Operation::Chat;
  if (path == "/v1/completions") return Operation::Completion;
  if (path == "/v1/embeddings") return Operation::Embedding;
  return std::nullopt;
}

bool allowed(Access access, Role role) {
  switch (access) {
    case Access::Public: return true;
    case Access::Tenant: return role == Role::Tenant;
    case Access::TenantOrOperator: return role == Role::Tenant || role == Role::Operator;
    case Access::Operator: return role == Role::Operator;
    case Access::Site: return role == Role::Site;
  }
  return false;
}

bool takes(std::string_view route, std::string_view method) {
  return route == method || (route == "GET" && method == "HEAD");
}

std::string_view needed(Access access) {
  switch (access) {
    case Access::Operator: return "an operator's key";
    case Access::Site: return "a site's credential";
    default: return "a tenant's key";
  }
}

}  // namespace

Gateway::Gateway(Executor executor, const Clock& clock, const Identity& identity,
                 Inference& inference, IdempotencyTable& once)
    : executor_(executor), clock_(clock), identity_(identity), inference_(inference), once_(once) {}

void Gateway::add(std::string_view method, std::string_view path, Access access,
                  Endpoint endpoint) {
  routes_[std::string{path}].push_back({std::string{method}, access, std::move(endpoint)});
}

// Empty: there is no such path.
std::span<const Gateway::Route> Gateway::routes_of(std::string_view path) const {
  auto found = routes_.find(path);
  for (std::size_t slash = path.rfind('/'); found == routes_.end() && slash != path.npos;
       slash = slash == 0 ? path.npos : path.rfind('/', slash - 1)) {
    found = routes_.find(path.substr(0, slash + 1));  // a prefix
  }
  if (found == routes_.end()) return {};
  return found->second;
}

// Not a coroutine: one more frame would be held for as long as the answer takes.
Task<> Gateway::handle(net::Request& request, net::ResponseWriter& out) {
  if (auto once = refuse_repeated_headers(request); !once) {
    return refuse(out, std::move(once).error());
  }
  const std::optional<Operation> operation = operation_of(request.path);
  if (operation && request.method == "POST") {
    auto call = read_call(*operation, request);
    if (!call) return refuse(out, std::move(call).error());
    const bool once = !(*call)->hints.idempotency_key.empty();
    return once ? infer_once(std::move(*call), out) : infer(std::move(*call), out);
  }
  std::string allowed = operation ? "POST" : "";
  for (const Route& route : operation ? std::span<const Route>{} : routes_of(request.path)) {
    if (takes(route.method, request.method)) return dispatch(route, request, out);
    allowed += (allowed.empty() ? "" : ", ") + route.method;
    if (route.method == "GET") allowed += ", HEAD";
  }
  if (!allowed.empty()) return refuse_method(out, std::move(allowed));
  return refuse(out, Error{Code::NotFound, "There is no such path; see /v1/models."});
}

Task<> Gateway::refuse_method(net::ResponseWriter& out, std::string allowed) {
  const Error error{Code::MethodNotAllowed, "This path takes " + allowed + " only."};
  const std::string id = inference_.new_request_id();
  co_await respond_error(out, error, id, allowed);
}

Task<> Gateway::refuse(net::ResponseWriter& out, Error error) {
  const std::string id = inference_.new_request_id();
  co_await respond_error(out, error, id);
}

Result<Caller> Gateway::authenticate(const net::Request& request) const {
  auto caller = identity_.authenticate(request.header("authorization"));
  if (!caller) return caller;
  PERIGEE_CHECK(check_member(*caller, members_of_, request.member()));
  return caller;
}

Task<> Gateway::dispatch(const Route& route, net::Request& request, net::ResponseWriter& out) {
  Caller caller;
  if (route.access != Access::Public) {
    auto known = authenticate(request);
    if (!known) {
      co_await refuse(out, std::move(known).error());
      co_return;
    }
    caller = std::move(*known);
    if (!allowed(route.access, caller.role)) {
      Error error{Code::PermissionDenied,
                  "This path needs " + std::string{needed(route.access)} + "."};
      co_await refuse(out, std::move(error));
      co_return;
    }
  }
  const std::string id = route.access == Access::Public ? "" : inference_.new_request_id();
  const GatewayCall call{caller, request, out, id};
  co_await route.endpoint(call);
}

Result<std::unique_ptr<InferenceCall>> Gateway::read_call(Operation operation,
                                                          const net::Request& request) const {
  PERIGEE_TRY(caller, authenticate(request));
  if (caller.role == Role::Operator) {
    return Error{Code::PermissionDenied, "Inference needs a tenant's key, not an operator's."};
  }
  PERIGEE_TRY(hints, read_client_hints(request, caller.role == Role::Site));
  auto call = std::make_unique<InferenceCall>();
  call->operation = operation;
  call->caller = std::move(caller);
  call->hints = std::move(hints);
  call->body = request.body;
  return call;
}

Task<> Gateway::infer(std::unique_ptr<InferenceCall> call, net::ResponseWriter& out) {
  HttpAnswer answer{out};
  co_await inference_.serve(std::move(call), answer);
}

// Neither a run nor one to follow: it may not be served now, and what may not be served is given
// from memory no more than from an engine.
Result<IdempotencyTable::Entered> Gateway::enter_once(InferenceCall& call) {
  const auto directory = inference_.directory();
  KeyedRequest request = keyed_request(call, *directory);
  call.record_id = record_id(request, clock_.wall());
  auto route = inference_.route_request(call);
  if (!route) return IdempotencyTable::Entered{};
  request.law = std::move(route->jurisdictions);
  return once_.enter(request, *directory);
}

// The first request with its key runs; the others are given what that one is given.
Task<> Gateway::infer_once(std::unique_ptr<InferenceCall> call, net::ResponseWriter& out) {
  HttpAnswer answer{out};
  auto entered = enter_once(*call);
  if (!entered) {
    call.reset();
    co_await refuse(out, std::move(entered).error());
  } else if (entered->followed != nullptr) {
    co_await replay(std::move(call), std::move(entered->followed), answer);
  } else if (entered->run) {
    RecordingAnswer recorded{executor_, answer, std::move(*entered->run)};
    co_await inference_.serve(std::move(call), recorded);
  } else {
    co_await inference_.serve(std::move(call), answer);  // it says why
  }
}

Task<> Gateway::replay(std::unique_ptr<InferenceCall> call, std::shared_ptr<Recording> recording,
                       Answer& answer) {
  AnswerHead refused;
  auto counted = co_await inference_.count_replay(call->caller, refused);
  if (!counted) {
    refused.request_id = call->hints.request_id.empty() ? inference_.new_request_id()
                                                        : std::move(call->hints.request_id);
    call.reset();
    auto told = co_await answer.fail(refused, counted.error());
    static_cast<void>(told);
    co_return;
  }
  call.reset();
  co_await follow(std::move(recording), executor_, answer);
}

Task<Result<>> respond_json(net::ResponseWriter& out, std::string_view body,
                            std::string_view request_id) {
  const std::array<net::Header, 2> headers{net::Header{"content-type", "application/json"},
                                           net::Header{api::headers::kRequestId, request_id}};
  co_return co_await out.respond(200, std::span{headers}.first(request_id.empty() ? 1 : 2), body);
}

}  // namespace perigee
