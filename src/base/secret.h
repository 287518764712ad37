// Secrets and digests: random bytes from the kernel, SHA-256, constant-time comparison.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace perigee {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
std::string to_hex(std::span<const std::uint8_t> bytes);
bool from_hex(std::string_view hex, std::span<std::uint8_t> out);  // false unless exactly filled
// Unpredictable bytes (getrandom). Aborts when the kernel can't give any.
void random_bytes(std::span<std::uint8_t> out);
std::uint64_t random_seed();
// `n` characters of [0-9A-Za-z], unpredictable.
std::string random_base62(std::size_t n);
// Takes the same time whatever the difference; lengths may leak.
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace perigee
