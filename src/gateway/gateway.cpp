#include "gateway/gateway.h"

#include <algorithm>
#include <array>
#include <optional>

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
  routes_.emplace(std::string{path}, Route{std::string{method}, access, std::move(endpoint)});
}

const Gateway::Route* Gateway::find(std::string_view method, std::string_view path,
                                    bool& path_known) const {
  auto [first, last] = routes_.equal_range(path);
  for (std::size_t slash = path.rfind('/'); first == last && slash != std::string_view::npos;
       slash = slash == 0 ? std::string_view::npos : path.rfind('/', slash - 1)) {
    std::tie(first, last) = routes_.equal_range(path.substr(0, slash + 1));  // a prefix
  }
  path_known = first != last;
  const auto route = std::find_if(first, last, [&](const auto& entry) {
    return entry.second.method == method || (method == "HEAD" && entry.second.method == "GET");
  });
  return route == last ? nullptr : &route->second;
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
  bool path_known = operation.has_value();
  const Route* route = operation ? nullptr : find(request.method, request.path, path_known);
  if (route != nullptr) return dispatch(*route, request, out);
  return refuse(out, path_known ? Error{Code::MethodNotAllowed, "This path takes another method."}
                                : Error{Code::NotFound, "There is no such path; see /v1/models."});
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
  const GatewayCall call{caller, request, out};
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

Task<Result<>> respond_json(net::ResponseWriter& out, std::string_view body) {
  const std::array<net::Header, 1> headers{net::Header{"content-type", "application/json"}};
  co_return co_await out.respond(200, headers, body);
}

}  // namespace perigee
