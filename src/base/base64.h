// Base64 (RFC 4648, section 4: '+', '/', padded), for bytes inside JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace perigee {

std::string to_base64(std::string_view bytes);
// nullopt for anything that to_base64() would not write.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace perigee
