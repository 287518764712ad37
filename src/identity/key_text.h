// The text of a key: a prefix that says its kind, 30 random base62 characters, and a CRC-32 of all
// of that in 6 base62 characters, so that a mistyped or cut key is told from an unknown one without
// asking anybody, and scanners find leaked keys without false alarms.
//   pgk_live_...  a tenant's        pgo_...  an operator's
//   pgs_...       a site's          pgj_...  a join token
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee {

enum class KeyKind : std::uint8_t { Tenant, Operator, Site, JoinToken };

// A new unpredictable key.
std::string make_key(KeyKind kind);

// The kind that the prefix says; nothing when it has none of the prefixes.
std::optional<KeyKind> kind_of_key(std::string_view text);

// Whether length, alphabet and checksum are right.
bool well_typed(std::string_view text);

// The first characters of a key, for lists: enough to recognise it, not to use it.
std::string key_hint(std::string_view text);

}  // namespace perigee
