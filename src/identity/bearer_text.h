// The Authorization header, taken apart.
#pragma once

#include <string_view>

namespace perigee {

// What stands behind "Bearer ", without blanks; empty when the header is none of that scheme.
std::string_view bearer_text(std::string_view authorization);

}  // namespace perigee
