// The pseudo-block under which a session's candidates stand in the PrefixTable.
#pragma once

#include <cstdint>

namespace perigee {

// Keeps a session's hash apart from block hashes of the same value.
constexpr std::uint64_t session_key(std::uint64_t session) {
  return (session ^ 0x5e55'10f0'9e37'79b9) * 0x9e37'79b9'7f4a'7c15;
}

}  // namespace perigee
