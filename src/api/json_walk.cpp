#include "api/json_walk.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace perigee::api::json {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

// The end of a string whose first character at `at` is not plain ASCII.
Place JsonWalk::find_odd_end(Place at, bool& escaped) const {
  for (; at != end_; at = find_special(at, end_)) {
    if (*at == '"') return at;
    const bool escape = *at == '\\';
    escaped = escaped || escape;
    at = escape ? take_escape(at) : take_utf8(at);
    if (at == nullptr) return nullptr;
  }
  return nullptr;
}

Place JsonWalk::take_escape(Place at) const {
  constexpr std::string_view kShort = "\"\\/bfnrt";
  if (end_ - at < 2) return nullptr;
  if (at[1] != 'u') return kShort.find(at[1]) == std::string_view::npos ? nullptr : at + 2;
  if (end_ - at < 6) return nullptr;
  return std::all_of(at + 2, at + 6, is_hex) ? at + 6 : nullptr;
}

// One character of several bytes (RFC 3629); a control character is none.
Place JsonWalk::take_utf8(Place at) const {
  const auto byte = [at](std::ptrdiff_t i) { return static_cast<unsigned char>(at[i]); };
  const unsigned char lead = byte(0);
  const std::ptrdiff_t size = lead >= 0xF0 ? 4 : (lead >= 0xE0 ? 3 : 2);
  if (lead < 0xC2 || lead > 0xF4 || end_ - at < size) return nullptr;
  for (std::ptrdiff_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return nullptr;
  }
  const unsigned char second = byte(1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0) ||  // surrogates
      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) {
    return nullptr;
  }
  return at + size;
}

std::string_view JsonWalk::unescaped(std::string_view raw) {
  constexpr char kOther = '\x7F';  // in no name that is looked for
  unescaped_.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      unescaped_ += raw[i];
      continue;
    }
    const char c = raw[++i];
    if (c == 'u') {
      unsigned code = 0;
      std::from_chars(raw.data() + i + 1, raw.data() + i + 5, code, 16);
      unescaped_ += code < 0x80 ? static_cast<char>(code) : kOther;
      i += 4;
    } else {
      unescaped_ += c == '"' || c == '\\' || c == '/' ? c : kOther;
    }
  }
  return unescaped_;
}

Place JsonWalk::take_digits(Place at) const {
  const Place first = at;
  while (at != end_ && is_digit(*at)) ++at;
  return at == first ? nullptr : at;
}

Place JsonWalk::take_number(Place at) const {
  if (at != end_ && *at == '-') ++at;
  at = at != end_ && *at == '0' ? at + 1 : take_digits(at);
  if (at == nullptr || at == end_) return at;
  if (*at == '.') {
    at = take_digits(at + 1);
    if (at == nullptr || at == end_) return at;
  }
  if (*at != 'e' && *at != 'E') return at;
  ++at;
  if (at != end_ && (*at == '+' || *at == '-')) ++at;
  return take_digits(at);
}

Place JsonWalk::read_count(Place at, std::uint32_t& out) {
  at = skip_spaces(at);
  if (at == end_ || (!is_digit(*at) && *at != '-')) return skip(at);
  const Place behind = take_number(at);
  if (behind == nullptr) return nullptr;
  constexpr std::uint32_t kMax = std::numeric_limits<std::int32_t>::max();
  std::uint32_t whole = 0;
  if (const auto read = std::from_chars(at, behind, whole); read.ptr == behind) {
    if (read.ec == std::errc{} && whole <= kMax) out = whole;
    return behind;
  }
  double number = -1;  // with a fraction, an exponent or a sign
  const auto read = std::from_chars(at, behind, number);
  if (read.ec == std::errc{} && number >= 0 && number <= kMax) {
    out = static_cast<std::uint32_t>(number);
  }
  return behind;
}

Place JsonWalk::take_word(Place at, std::string_view word) const {
  const std::string_view rest{at, static_cast<std::size_t>(end_ - at)};
  return rest.starts_with(word) ? at + word.size() : nullptr;
}

Place JsonWalk::skip(Place at) {
  at = skip_spaces(at);
  if (at == end_) return nullptr;
  std::string_view text;
  bool escaped = false;
  switch (*at) {
    case '"': return take_string(at, text, escaped);
    case '{':
      return list(at, '{', '}', [&](Place item) -> Place {
        item = take_string(item, text, escaped);
        if (item != nullptr) item = take(item, ':');
        return item != nullptr ? skip(item) : nullptr;
      });
    case '[': return list(at, '[', ']', [this](Place item) { return skip(item); });
    case 't': return take_word(at, "true");
    case 'f': return take_word(at, "false");
    case 'n': return take_word(at, "null");
    default: return take_number(at);
  }
}

}  // namespace perigee::api::json
