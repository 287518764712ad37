#include "api/message_sum.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>

#include "api/headers.h"

namespace perigee::api {
namespace {

constexpr std::size_t kDigits = 8;
constexpr std::string_view kPrefix = "perigee-";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool begins_so(std::string_view name, std::string_view with) {
  return name.size() >= with.size() &&
         std::equal(with.begin(), with.end(), name.begin(),
                    [](char expected, char c) { return expected == lower(c); });
}

}  // namespace

void MessageSum::add(std::string_view part) {
  state_ = XXH3_64bits_withSeed(part.data(), part.size(), state_);
}

void MessageSum::add_header(std::string_view value) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = value.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return add({});
  add(value.substr(first, value.find_last_not_of(kBlanks) - first + 1));
}

std::uint32_t sum_of(std::string_view part, std::string_view rest) {
  MessageSum sum;
  sum.add(part);
  sum.add(rest);
  return sum.value();
}

bool counts_in_sum(std::string_view header_name) {
  if (!begins_so(header_name, kPrefix)) return false;
  return header_name.size() != headers::kSum.size() || !begins_so(header_name, headers::kSum);
}

void append_sum(std::string& out, std::uint32_t sum) {
  for (std::size_t digit = kDigits; digit-- > 0;) out += "0123456789abcdef"[sum >> 4 * digit & 15];
}

std::optional<std::uint32_t> parse_sum(std::string_view text) {
  std::uint32_t sum = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sum, 16);
  if (error != std::errc{} || end != text.data() + text.size() || text.size() != kDigits) {
    return std::nullopt;
  }
  return sum;
}

}  // namespace perigee::api
