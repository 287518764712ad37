// What a candidate can do beside running the model, and what a request may ask of it.
#pragma once

#include <cstdint>
#include <string_view>

namespace perigee {

// Sets of what an engine can do; `kEverything` where it is not known, so that silence excludes
// nothing.
using Capabilities = std::uint8_t;
inline constexpr Capabilities kVision = 1;        // images in prompts
inline constexpr Capabilities kGuidedOutput = 2;  // answers bound to a grammar or schema
inline constexpr Capabilities kEmbeddings = 4;    // vectors instead of text
inline constexpr Capabilities kTools = 8;         // calls of the client's functions
inline constexpr Capabilities kEverything = 0xff;

// What a site can prove of the machine that a request runs on; each holds those before it.
enum class Attestation : std::uint8_t {
  None,
  Measured,     // booted what its owner signed, by a report of its TPM
  Confidential  // memory of CPU and GPU encrypted and attested
};
std::string_view to_string(Attestation attestation);  // "confidential"

}  // namespace perigee
