#include "pki/spiffe_id.h"

namespace perigee::pki {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kShownBytesMax = 160;

}  // namespace

std::string spiffe_id(const GridMember& member) {
  std::string id = std::string{kScheme} + member.grid;
  switch (member.role) {
    case MemberRole::Authority: break;
    case MemberRole::Control: id += "/control"; break;
    case MemberRole::Site: id += "/site/" + member.name; break;
    case MemberRole::Operator: id += "/operator/" + member.name; break;
  }
  return id;
}

Result<GridMember> parse_spiffe_id(std::string_view id) {
  const auto refused = [&] {
    return Error{Code::InvalidArgument,
                 "'" + std::string{id.substr(0, kShownBytesMax)} +
                     "' names no member of a grid: expected spiffe://GRID/site/NAME, "
                     "spiffe://GRID/control or spiffe://GRID/operator/NAME"};
  };
  if (!id.starts_with(kScheme)) return refused();
  std::string_view rest = id.substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  GridMember member;
  member.grid = rest.substr(0, slash);
  if (!valid_name(member.grid)) return refused();
  if (slash == std::string_view::npos) {
    member.role = MemberRole::Authority;
    return member;
  }
  rest.remove_prefix(slash + 1);
  if (rest == "control") {
    member.role = MemberRole::Control;
    return member;
  }
  const std::size_t split = rest.find('/');
  if (split == std::string_view::npos) return refused();
  const std::string_view role = rest.substr(0, split);
  if (role != "site" && role != "operator") return refused();
  member.role = role == "site" ? MemberRole::Site : MemberRole::Operator;
  member.name = rest.substr(split + 1);
  if (!valid_name(member.name)) return refused();
  return member;
}

}  // namespace perigee::pki
