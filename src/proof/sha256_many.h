// SHA-256 of many messages at once. A processor with instructions for SHA-256 does them one after
// the other; one with wide registers only does eight or sixteen side by side, whatever their
// lengths, at three to eight times the speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/secret.h"

namespace perigee::proof {

inline constexpr std::size_t kSha256PrefixBytesMax = 64;

// digests[i] = SHA-256(prefix || messages[i]). As many digests as messages.
void sha256_many(std::string_view prefix, std::span<const std::string_view> messages,
                 std::span<Sha256> digests);

namespace internal {

// For tests: on one way of those that this processor has.
enum class Sha256Way { OneByOne, Lanes8, Lanes16 };
bool has(Sha256Way way);
void sha256_many(Sha256Way way, std::string_view prefix, std::span<const std::string_view> messages,
                 std::span<Sha256> digests);

// FIPS 180-4, 6.2.2, of one block in each lane: words[word * lanes + lane] and
// state[word * lanes + lane]. Compiled for AVX2 and AVX-512, so not to be called elsewhere.
void compress_8(std::uint32_t* state, const std::uint32_t* words);
void compress_16(std::uint32_t* state, const std::uint32_t* words);

}  // namespace internal
}  // namespace perigee::proof
