// Role: what a credential lets its holder be.
#pragma once

#include <cstdint>

namespace perigee {

enum class Role : std::uint8_t { Tenant, Operator, Site };

}  // namespace perigee
