#include "identity/member_check.h"

#include "pki/spiffe_id.h"

namespace perigee {

Result<> check_member(const Caller& caller, const std::string& grid, std::string_view member) {
  if (grid.empty() || caller.role != Role::Site) return {};
  const std::string expected = pki::site_spiffe_id(grid, caller.site);
  if (member == expected) return {};
  return Error{Code::PermissionDenied,
               "a site's credential counts only with its certificate: expected " + expected +
                   ", got " + (member.empty() ? "none" : std::string{member})};
}

}  // namespace perigee
