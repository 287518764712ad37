#include "identity/key_text.h"

#include <algorithm>
#include <array>

#include "base/secret.h"

namespace perigee {
namespace {

constexpr std::array<std::string_view, 4> kPrefixes{"pgk_live_", "pgo_", "pgs_", "pgj_"};
constexpr std::size_t kRandomChars = 30;
constexpr std::size_t kChecksumChars = 6;
constexpr std::size_t kHintChars = 4;
constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// CRC-32 as in IEEE 802.3 and zlib.
constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1U) != 0 ? 0xedb88320U ^ (value >> 1U) : value >> 1U;
    }
    table[i] = value;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = make_table();

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc = kTable[(crc ^ static_cast<std::uint8_t>(c)) & 0xffU] ^ (crc >> 8U);
  }
  return ~crc;
}

std::array<char, kChecksumChars> checksum_of(std::string_view bytes) {
  std::array<char, kChecksumChars> text{};
  std::uint32_t crc = crc32(bytes);
  for (auto place = text.rbegin(); place != text.rend(); ++place) {
    *place = kBase62[crc % 62];
    crc /= 62;
  }
  return text;
}

bool base62(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

}  // namespace

std::string make_key(KeyKind kind) {
  std::string text{kPrefixes.at(static_cast<std::size_t>(kind))};
  text += random_base62(kRandomChars);
  const auto checksum = checksum_of(text);
  text.append(checksum.data(), checksum.size());
  return text;
}

std::optional<KeyKind> kind_of_key(std::string_view text) {
  for (std::size_t i = 0; i < kPrefixes.size(); ++i) {
    if (text.starts_with(kPrefixes[i])) return static_cast<KeyKind>(i);
  }
  return std::nullopt;
}

bool well_typed(std::string_view text) {
  const std::optional<KeyKind> kind = kind_of_key(text);
  if (!kind) return false;
  const std::size_t prefix = kPrefixes[static_cast<std::size_t>(*kind)].size();
  if (text.size() != prefix + kRandomChars + kChecksumChars) return false;
  if (!std::ranges::all_of(text.substr(prefix), base62)) return false;
  const auto checksum = checksum_of(text.substr(0, prefix + kRandomChars));
  return text.ends_with(std::string_view{checksum.data(), checksum.size()});
}

std::string key_hint(std::string_view text) {
  const std::optional<KeyKind> kind = kind_of_key(text);
  const std::size_t prefix = kind ? kPrefixes[static_cast<std::size_t>(*kind)].size() : 0;
  return std::string{text.substr(0, prefix + kHintChars)} + "...";
}

}  // namespace perigee
