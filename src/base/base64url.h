// Base64url without padding (RFC 4648, section 5; RFC 7515), as in tokens and JSON web keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace perigee {

std::string to_base64url(std::string_view bytes);
// nullopt for anything that to_base64url() would not write.
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace perigee
