#include "control/control_routes.h"

#include <algorithm>
#include <array>
#include <utility>

namespace perigee::control {
namespace {

using Name = ControlCallName;
using enum Shape;
using callers::kAdmin;
using callers::kBookkeepers;
using callers::kEveryOperator;
using callers::kGridKeepers;
using callers::kSite;
using callers::kTenantKeepers;

constexpr std::array kRoutes{
    ControlRoute{Name::Join, "POST", "join", Whole, "", callers::kAnyone},  // by its token
    ControlRoute{Name::Snapshot, "GET", "snapshot", Whole, "", kSite | kAdmin},
    ControlRoute{Name::Watch, "GET", "watch", Whole, "", kSite | kAdmin},
    ControlRoute{Name::DeliverUsage, "POST", "usage", Whole, "", kSite},
    ControlRoute{Name::ReadUsage, "GET", "usage", Whole, "", kEveryOperator},
    ControlRoute{Name::ListUsageAside, "GET", "usage-aside", Whole, "", kEveryOperator},
    ControlRoute{Name::TakeInUsage, "POST", "usage-take-in", Whole, "", kBookkeepers},
    ControlRoute{Name::DropUsage, "POST", "usage-drop", Whole, "", kBookkeepers},
    ControlRoute{Name::LeaseRates, "POST", "rates", Whole, "", kSite},
    ControlRoute{Name::RenewCertificate, "POST", "renew", Whole, "", kSite},

    ControlRoute{Name::ListSites, "GET", "sites", Whole, "", kEveryOperator},
    ControlRoute{Name::ShowSite, "GET", "sites", Row, "", kEveryOperator},
    ControlRoute{Name::PutSite, "PUT", "sites", Row, "", kGridKeepers},
    ControlRoute{Name::RemoveSite, "DELETE", "sites", Row, "", kGridKeepers},
    ControlRoute{Name::DrainSite, "POST", "sites", Action, "drain", kGridKeepers},
    ControlRoute{Name::UndrainSite, "POST", "sites", Action, "undrain", kGridKeepers},

    ControlRoute{Name::ListModels, "GET", "models", Whole, "", kEveryOperator},
    ControlRoute{Name::ShowModel, "GET", "models", Row, "", kEveryOperator},
    ControlRoute{Name::PutModel, "PUT", "models", Row, "", kGridKeepers},
    ControlRoute{Name::RemoveModel, "DELETE", "models", Row, "", kGridKeepers},

    ControlRoute{Name::ListPlacements, "GET", "placements", Whole, "", kEveryOperator},
    ControlRoute{Name::ShowPlacement, "GET", "placements", Row, "", kEveryOperator},
    ControlRoute{Name::PutPlacement, "PUT", "placements", Row, "", kGridKeepers},
    ControlRoute{Name::RemovePlacement, "DELETE", "placements", Row, "", kGridKeepers},

    ControlRoute{Name::ListTenants, "GET", "tenants", Whole, "", kEveryOperator},
    ControlRoute{Name::ShowTenant, "GET", "tenants", Row, "", kEveryOperator},
    ControlRoute{Name::PutTenant, "PUT", "tenants", Row, "", kGridKeepers},
    ControlRoute{Name::RemoveTenant, "DELETE", "tenants", Row, "", kAdmin},
    ControlRoute{Name::SuspendTenant, "POST", "tenants", Action, "suspend", kTenantKeepers},
    ControlRoute{Name::ResumeTenant, "POST", "tenants", Action, "resume", kTenantKeepers},

    // Of an operator's key only an admin's may create, rotate or revoke one: see keys_api.cpp.
    ControlRoute{Name::ListKeys, "GET", "keys", Whole, "", kEveryOperator},
    ControlRoute{Name::CreateKey, "POST", "keys", Whole, "", kGridKeepers},
    ControlRoute{Name::ShowKey, "GET", "keys", Row, "", kEveryOperator},
    ControlRoute{Name::RevokeKey, "DELETE", "keys", Row, "", kGridKeepers},
    ControlRoute{Name::RotateKey, "POST", "keys", Action, "rotate", kGridKeepers},
    ControlRoute{Name::ScopeKey, "POST", "keys", Action, "scope", kGridKeepers},

    ControlRoute{Name::ListIssuers, "GET", "issuers", Whole, "", kEveryOperator},
    ControlRoute{Name::ShowIssuer, "GET", "issuers", Row, "", kEveryOperator},
    ControlRoute{Name::PutIssuer, "PUT", "issuers", Row, "", kAdmin},
    ControlRoute{Name::RemoveIssuer, "DELETE", "issuers", Row, "", kAdmin},
    ControlRoute{Name::RefreshIssuer, "POST", "issuers", Action, "refresh", kGridKeepers},

    ControlRoute{Name::ListJoinTokens, "GET", "join-tokens", Whole, "", kEveryOperator},
    ControlRoute{Name::CreateJoinToken, "POST", "join-tokens", Whole, "", kGridKeepers},
    ControlRoute{Name::RemoveJoinToken, "DELETE", "join-tokens", Row, "", kGridKeepers},
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Names of models have slashes in them, so only these collections have actions.
bool has_actions(std::string_view collection) {
  return std::ranges::any_of(kRoutes, [collection](const ControlRoute& route) {
    return route.collection == collection && route.shape == Action;
  });
}

Callers of(const Caller& caller) {
  if (caller.role == Role::Site) return kSite;
  switch (caller.operator_role) {
    case OperatorRole::Viewer: return callers::kViewer;
    case OperatorRole::Operator: return callers::kOperator;
    case OperatorRole::Finance: return callers::kFinance;
    case OperatorRole::Admin: break;
  }
  return kAdmin;
}

std::string needed(const ControlRoute& route) {
  std::string all;
  for (const auto& [each, name] :
       {std::pair{callers::kViewer, "viewer"}, std::pair{callers::kOperator, "operator"},
        std::pair{callers::kFinance, "finance"}, std::pair{kAdmin, "admin"}}) {
    if (!route.callers.has(each)) continue;
    all += (all.empty() ? "" : " or ") + std::string{name};
  }
  return all.empty() ? "a site's key" : "an operator key (pgo_) of role " + all;
}

}  // namespace

std::span<const ControlRoute> control_routes() { return kRoutes; }

Result<ControlPath> parse_control_path(std::string_view path) {
  ControlPath parsed;
  parsed.collection = path.substr(0, path.find('/'));
  if (parsed.collection.size() == path.size()) return parsed;
  PERIGEE_TRY(name, percent_decode(path.substr(parsed.collection.size() + 1)));
  parsed.name = std::move(name);
  const auto slash = parsed.name.find('/');
  if (slash != std::string::npos && has_actions(parsed.collection)) {
    parsed.action = parsed.name.substr(slash + 1);
    parsed.name.resize(slash);
  }
  return parsed;
}

Result<const ControlRoute*> find_route(std::string_view method, const ControlPath& path) {
  const Shape shape = !path.action.empty() ? Action : path.name.empty() ? Whole : Row;
  std::string methods;
  bool known = false;
  for (const ControlRoute& route : kRoutes) {
    if (route.collection != path.collection) continue;
    known = true;
    if (route.shape != shape || route.action != path.action) continue;
    if (route.method == method) return &route;
    methods += (methods.empty() ? "" : " or ") + std::string{route.method};
  }
  if (!methods.empty()) {
    return Error{Code::MethodNotAllowed,
                 std::string{method.substr(0, 16)} + " is not possible here: use " + methods};
  }
  return Error{Code::NotFound, known && shape == Action
                                   ? "it has no such action: see docs/control_api.md"
                                   : "no such path: see docs/control_api.md"};
}

Result<> check_caller(const ControlRoute& route, const Caller& caller) {
  if (route.callers == callers::kAnyone) return {};
  if (caller.role != Role::Tenant && route.callers.has(of(caller))) return {};
  return Error{Code::PermissionDenied, "this key may not do that: use " + needed(route)};
}

Result<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return Error{Code::InvalidArgument, "the path has a malformed percent escape", "path"};
    }
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

}  // namespace perigee::control
