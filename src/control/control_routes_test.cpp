#include "control/control_routes.h"

#include <gtest/gtest.h>

#include <map>

#include "control/control_test_grid.h"

namespace perigee::control {
namespace {

// Who may what, once more and by hand: V viewer, O operator, F finance, A admin, S site, * anyone.
const std::map<std::string, std::string>& expected() {
  static const std::map<std::string, std::string> table{
      {"POST join", "*"},
      {"GET snapshot", "AS"},
      {"GET watch", "AS"},
      {"POST usage", "S"},
      {"GET usage", "VOFA"},
      {"GET usage-aside", "VOFA"},
      {"POST usage-take-in", "FA"},
      {"POST usage-drop", "FA"},
      {"POST rates", "S"},
      {"POST renew", "S"},
      {"GET sites", "VOFA"},
      {"GET sites/x", "VOFA"},
      {"PUT sites/x", "OA"},
      {"DELETE sites/x", "OA"},
      {"POST sites/x/drain", "OA"},
      {"POST sites/x/undrain", "OA"},
      {"GET models", "VOFA"},
      {"GET models/x", "VOFA"},
      {"PUT models/x", "OA"},
      {"DELETE models/x", "OA"},
      {"GET placements", "VOFA"},
      {"GET placements/x", "VOFA"},
      {"PUT placements/x", "OA"},
      {"DELETE placements/x", "OA"},
      {"GET tenants", "VOFA"},
      {"GET tenants/x", "VOFA"},
      {"PUT tenants/x", "OA"},
      {"DELETE tenants/x", "A"},
      {"POST tenants/x/suspend", "OFA"},
      {"POST tenants/x/resume", "OFA"},
      {"GET keys", "VOFA"},
      {"POST keys", "OA"},
      {"GET keys/x", "VOFA"},
      {"DELETE keys/x", "OA"},
      {"POST keys/x/rotate", "OA"},
      {"POST keys/x/scope", "OA"},
      {"GET issuers", "VOFA"},
      {"GET issuers/x", "VOFA"},
      {"PUT issuers/x", "A"},
      {"DELETE issuers/x", "A"},
      {"POST issuers/x/refresh", "OA"},
      {"GET join-tokens", "VOFA"},
      {"POST join-tokens", "OA"},
      {"DELETE join-tokens/x", "OA"},
  };
  return table;
}

std::string path_of(const ControlRoute& route) {
  std::string path{route.collection};
  if (route.shape != Shape::Whole) path += "/x";
  if (route.shape == Shape::Action) path += "/" + std::string{route.action};
  return path;
}

struct Who {
  char letter;
  Caller caller;
};
std::vector<Who> everyone() {
  std::vector<Who> all;
  for (const auto& [letter, role] :
       {std::pair{'V', OperatorRole::Viewer}, std::pair{'O', OperatorRole::Operator},
        std::pair{'F', OperatorRole::Finance}, std::pair{'A', OperatorRole::Admin}}) {
    Caller caller;
    caller.role = Role::Operator;
    caller.operator_role = role;
    all.push_back({letter, caller});
  }
  Caller site;
  site.role = Role::Site;
  site.site = SiteId{"a"};
  all.push_back({'S', site});
  Caller tenant;
  tenant.tenant = TenantId{"acme"};
  tenant.operator_role = OperatorRole::Admin;  // means nothing for a tenant
  all.push_back({'T', tenant});
  return all;
}

TEST(ControlRoutes, EveryCallIsForExactlyThoseWhoAreMeant) {
  ASSERT_EQ(control_routes().size(), expected().size()) << "a call stands in one table only";
  for (const ControlRoute& route : control_routes()) {
    const std::string name = std::string{route.method} + " " + path_of(route);
    const auto meant = expected().find(name);
    ASSERT_NE(meant, expected().end()) << name << ": say here who may call it";
    for (const Who& who : everyone()) {
      const bool may = meant->second == "*" || meant->second.find(who.letter) != std::string::npos;
      EXPECT_EQ(check_caller(route, who.caller).has_value(), may) << name << " by " << who.letter;
    }
  }
}

TEST(ControlRoutes, EveryRouteIsFoundByItsOwnPathAndNoOther) {
  for (const ControlRoute& route : control_routes()) {
    const std::string text = path_of(route);
    auto path = parse_control_path(text);
    ASSERT_TRUE(path) << text;
    auto found = find_route(route.method, *path);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ((*found)->call, route.call) << route.method << " " << text;
    EXPECT_EQ(find_route("PATCH", *path).error().code, Code::MethodNotAllowed) << text;
  }
  EXPECT_EQ(find_route("GET", *parse_control_path("nothing")).error().code, Code::NotFound);
  EXPECT_EQ(find_route("POST", *parse_control_path("keys/x/explode")).error().code, Code::NotFound);
  EXPECT_FALSE(parse_control_path("keys/%zz"));
}

// The same through the door: whoever has no key is asked for one before anything is said.
TEST(ControlRoutes, WithoutAKeyNothingIsToldButThatOneIsNeeded) {
  const TestFolder folder;
  const ManualClock clock;
  const auto table =
      make_table(std::make_unique<MemoryDirectory>(), clock, folder.file("operator.key"));
  const ControlApi api{*table, clock};
  for (const ControlRoute& route : control_routes()) {
    if (route.callers == callers::kAnyone) continue;
    const std::string path = "/control/v1/" + path_of(route);
    const auto permitted = api.permit({route.method, path, "", "", "", ""});
    ASSERT_FALSE(permitted) << path;
    EXPECT_EQ(permitted.error().code, Code::Unauthenticated) << path;
  }
  const auto unknown = api.permit({"GET", "/control/v1/nothing", "", "", "", ""});
  EXPECT_EQ(unknown.error().code, Code::Unauthenticated);
}

}  // namespace
}  // namespace perigee::control
