// Role: what a credential lets its holder be.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace perigee {

enum class Role : std::uint8_t { Tenant, Operator, Site };

// What an operator may do; control/control_routes.h has the table of calls.
enum class OperatorRole : std::uint8_t {
  Viewer,    // reads everything but secrets
  Operator,  // runs the grid: sites, models, placements, tenants and their keys
  Finance,   // reads, and suspends and resumes tenants
  Admin,     // everything, operators' keys included
};
std::string_view to_string(OperatorRole role);  // "viewer", "operator", "finance", "admin"
std::optional<OperatorRole> parse_operator_role(std::string_view name);

}  // namespace perigee
