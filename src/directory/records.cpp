#include "directory/records.h"

#include <array>

namespace perigee {
namespace {

constexpr std::array<std::string_view, 4> kOperatorRoles{"viewer", "operator", "finance", "admin"};
constexpr std::array<std::string_view, 5> kTierNames{"far_edge", "edge", "metro", "regional",
                                                     "core"};
}  // namespace

std::string_view to_string(Tier tier) { return kTierNames.at(static_cast<std::size_t>(tier)); }

std::optional<Tier> parse_tier(std::string_view name) {
  for (std::size_t i = 0; i < kTierNames.size(); ++i) {
    if (kTierNames.at(i) == name) return static_cast<Tier>(i);
  }
  return std::nullopt;
}

std::string_view to_string(OperatorRole role) {
  return kOperatorRoles.at(static_cast<std::size_t>(role));
}

std::optional<OperatorRole> parse_operator_role(std::string_view name) {
  for (std::size_t i = 0; i < kOperatorRoles.size(); ++i) {
    if (kOperatorRoles.at(i) == name) return static_cast<OperatorRole>(i);
  }
  return std::nullopt;
}

}  // namespace perigee
