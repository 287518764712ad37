// Hexadecimal digits of an integer, for ids.
#pragma once

#include <cstddef>
#include <cstdint>

namespace perigee {

inline constexpr std::size_t kHexDigits64 = 16;

// Writes the 16 lower-case digits of `value` to `out`, the most significant first.
inline void write_hex(std::uint64_t value, char* out) {
  for (std::size_t i = kHexDigits64; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

}  // namespace perigee
