// Header: one field of an HTTP head, as views into bytes owned elsewhere.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace perigee::net {

struct Header {
  std::string_view name;
  std::string_view value;
};

// ASCII only, as HTTP names are.
inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// The first field of that name; empty when absent.
inline std::string_view find_header(std::span<const Header> headers, std::string_view name) {
  for (const Header& header : headers) {
    if (equal_ignoring_case(header.name, name)) return header.value;
  }
  return {};
}

}  // namespace perigee::net
