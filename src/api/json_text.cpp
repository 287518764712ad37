#include "api/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace perigee::api {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_tail(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Length of the valid UTF-8 sequence at the start of `text`, 0 when there is none.
std::size_t sequence_size(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if (!is_tail(text[i])) return 0;
  }
  if (lead == 0xE0 && at(1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && at(1) > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && at(1) < 0x90) return 0;  // overlong
  if (lead == 0xF4 && at(1) > 0x8F) return 0;  // above U+10FFFF
  return size;
}

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u00";
  out += kHex[static_cast<unsigned char>(c) >> 4];
  out += kHex[static_cast<unsigned char>(c) & 15];
}

// The four hexadecimal digits of an escape.
unsigned code_unit(std::string_view digits) {
  unsigned code = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  return code;
}

void append_utf8(std::string& out, unsigned code) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | (code >> 6U));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | (code >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (code >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

char short_escape(char c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
  }
}

}  // namespace

std::optional<std::string> unescaped_json(std::string_view raw) {
  constexpr std::size_t kEscape = 6;  // \u00e9
  const auto is_surrogate = [](unsigned code, unsigned from) {
    return code >= from && code < from + 0x400;
  };
  std::string out;
  out.reserve(raw.size());
  while (!raw.empty()) {
    const std::size_t plain = std::min(raw.find('\\'), raw.size());
    out += raw.substr(0, plain);
    raw.remove_prefix(plain);
    if (raw.size() < 2) break;
    if (raw[1] != 'u') {
      out += short_escape(raw[1]);
      raw.remove_prefix(2);
      continue;
    }
    unsigned code = code_unit(raw.substr(2, 4));
    raw.remove_prefix(std::min(kEscape, raw.size()));
    if (is_surrogate(code, 0xDC00)) return std::nullopt;
    if (is_surrogate(code, 0xD800)) {
      const unsigned low = raw.starts_with("\\u") ? code_unit(raw.substr(2, 4)) : 0;
      if (!is_surrogate(low, 0xDC00)) return std::nullopt;
      raw.remove_prefix(std::min(kEscape, raw.size()));
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    }
    append_utf8(out, code);
  }
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // start of the run that is copied as it is
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t size = c < 0x80 ? 1 : sequence_size(text.substr(i));
    if (size > 1 || (size == 1 && c >= 0x20 && c != '"' && c != '\\')) {
      i += size;
      continue;
    }
    out += text.substr(plain, i - plain);
    if (size == 0) {
      out += kReplacement;
    } else {
      append_escape(out, text[i]);
    }
    plain = ++i;
  }
  out += text.substr(plain);
  out += '"';
}

void append_json_number(std::string& out, std::int64_t number) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end.ptr);
}

}  // namespace perigee::api
