// Who a certificate names: a member of a grid, as a SPIFFE id (SPIFFE-ID, section 2):
//   spiffe://GRID/site/NAME    a site
//   spiffe://GRID/control      the control plane
//   spiffe://GRID/operator/NAME  an operator's tool
//   spiffe://GRID              the grid's certificate authority
// GRID is the grid's name (the trust domain). Names are those of base/id.h, at most 64 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"

namespace perigee::pki {

enum class MemberRole : std::uint8_t { Authority, Control, Site, Operator };

struct GridMember {
  std::string grid;
  MemberRole role = MemberRole::Site;
  std::string name = {};  // of a site or an operator; else empty

  friend bool operator==(const GridMember&, const GridMember&) = default;
};

std::string spiffe_id(const GridMember& member);
// InvalidArgument names what is wrong. Ids of other shapes (other workloads of an operator's SPIRE)
// are refused: they are no member of a grid.
Result<GridMember> parse_spiffe_id(std::string_view id);

inline std::string site_spiffe_id(const std::string& grid, const SiteId& site) {
  return spiffe_id({grid, MemberRole::Site, site.str()});
}
inline std::string control_spiffe_id(const std::string& grid) {
  return spiffe_id({grid, MemberRole::Control});
}

}  // namespace perigee::pki
