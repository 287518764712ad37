// Every call of the control API, and who may make it: one table, which dispatching uses. A call
// that stands in none is not there, and a row without its callers does not compile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/identity.h"

namespace perigee::control {

// A set of callers. Never empty by forgetting: there is no default.
class Callers {
 public:
  constexpr Callers() = delete;
  constexpr bool has(Callers other) const { return (bits_ & other.bits_) != 0; }
  friend constexpr Callers operator|(Callers a, Callers b) {
    return Callers{static_cast<std::uint8_t>(a.bits_ | b.bits_)};
  }
  friend constexpr bool operator==(Callers, Callers) = default;
  static constexpr Callers bit(std::uint8_t place) {
    return Callers{static_cast<std::uint8_t>(1U << place)};
  }

 private:
  explicit constexpr Callers(std::uint8_t bits) : bits_(bits) {}
  std::uint8_t bits_;
};

namespace callers {
inline constexpr Callers kViewer = Callers::bit(0);
inline constexpr Callers kOperator = Callers::bit(1);
inline constexpr Callers kFinance = Callers::bit(2);
inline constexpr Callers kAdmin = Callers::bit(3);
inline constexpr Callers kSite = Callers::bit(4);
inline constexpr Callers kAnyone = Callers::bit(5);  // no credential is asked for
inline constexpr Callers kEveryOperator = kViewer | kOperator | kFinance | kAdmin;
inline constexpr Callers kGridKeepers = kOperator | kAdmin;               // run the grid
inline constexpr Callers kBookkeepers = kFinance | kAdmin;                // what is billed
inline constexpr Callers kTenantKeepers = kOperator | kFinance | kAdmin;  // suspend, resume
}  // namespace callers

// What a path names behind its collection.
enum class Shape : std::uint8_t {
  Whole,   // /keys
  Row,     // /keys/NAME
  Action,  // /keys/NAME/rotate
};

enum class ControlCallName : std::uint8_t {
  Join,
  Snapshot,
  Watch,
  DeliverUsage,
  ReadUsage,
  ListUsageAside,
  TakeInUsage,
  DropUsage,
  LeaseRates,
  RenewCertificate,
  ListSites,
  ShowSite,
  PutSite,
  RemoveSite,
  DrainSite,
  UndrainSite,
  ListModels,
  ShowModel,
  PutModel,
  RemoveModel,
  ListPlacements,
  ShowPlacement,
  PutPlacement,
  RemovePlacement,
  ListTenants,
  ShowTenant,
  PutTenant,
  RemoveTenant,
  SuspendTenant,
  ResumeTenant,
  ListKeys,
  CreateKey,
  ShowKey,
  RevokeKey,
  RotateKey,
  ScopeKey,
  ListIssuers,
  ShowIssuer,
  PutIssuer,
  RemoveIssuer,
  RefreshIssuer,
  ListJoinTokens,
  CreateJoinToken,
  RemoveJoinToken,
};

struct ControlRoute {
  ControlCallName call;
  std::string_view method;
  std::string_view collection;
  Shape shape;
  std::string_view action;  // of Shape::Action
  Callers callers;
};
std::span<const ControlRoute> control_routes();

// A path taken apart. `name` is decoded.
struct ControlPath {
  std::string_view collection;
  std::string name;
  std::string action;
};
// `path` is what stands behind /control/v1/. InvalidArgument: a malformed escape.
Result<ControlPath> parse_control_path(std::string_view path);

// NotFound: no such collection or action. MethodNotAllowed says which methods there are.
Result<const ControlRoute*> find_route(std::string_view method, const ControlPath& path);

// PermissionDenied says whose key is needed. A tenant may call nothing here.
Result<> check_caller(const ControlRoute& route, const Caller& caller);

// %41 -> A; InvalidArgument when malformed.
Result<std::string> percent_decode(std::string_view text);

}  // namespace perigee::control
