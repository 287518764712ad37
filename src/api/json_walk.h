// JsonWalk: one strict pass over a JSON text where it stands. It checks all that it passes (RFC
// 8259: grammar, escapes, UTF-8, depth), copies nothing and needs no room behind the text. For the
// small JSON of every answer and chunk: an index of the whole text, as simdjson makes first, costs
// more there than the walk. Private to api.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/inference.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace perigee::api::json {

// The first byte that ends a string's plain part: a quote, a backslash, a control character or one
// that is not ASCII.
inline const char* find_special(const char* at, const char* end) {
#ifdef __SSE2__
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i special =
        _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),  // signed: not ASCII is below too
                     _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                  _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
    const auto bits = static_cast<unsigned>(_mm_movemask_epi8(special));
    if (bits != 0) return at + std::countr_zero(bits);
  }
#endif
  while (at != end && static_cast<signed char>(*at) >= 0x20 && *at != '"' && *at != '\\') ++at;
  return at;
}

// A place in the text; null once the text turned out damaged. It is passed by value, so that it
// stays in a register.
using Place = const char*;

// Each call takes what stands at a place (never null) and gives the place behind it.
class JsonWalk {
 public:
  // `text` must outlive the walk and the views that it gives.
  JsonWalk(std::string_view text, std::size_t depth_max)
      : begin_(text.data()), end_(text.data() + text.size()), depth_left_(depth_max) {}

  Place begin() const { return begin_; }
  // Whether nothing more follows; false at null.
  bool ends(Place at) const { return at != nullptr && skip_spaces(at) == end_; }
  // The first character of the value, which tells its type; 0 at the end.
  char peek(Place at) const {
    at = skip_spaces(at);
    return at == end_ ? '\0' : *at;
  }
  // An object: `on_member(key, at)` takes each member's value. Of a key with escapes, characters
  // beyond ASCII are replaced, and the view is valid until the next such key.
  template <class OnMember>
  Place members(Place at, OnMember on_member) {
    return list(at, '{', '}', [&](Place item) -> Place {
      std::string_view key;
      item = read_text(item, key);
      if (item != nullptr) item = take(item, ':');
      return item != nullptr ? on_member(key, item) : nullptr;
    });
  }
  // An array: `on_item(at)` takes each item.
  template <class OnItem>
  Place items(Place at, OnItem on_item) {
    return list(at, '[', ']', on_item);
  }
  // A string, as the keys above.
  Place read_text(Place at, std::string_view& out) {
    bool escaped = false;
    at = take_string(at, out, escaped);
    if (escaped && at != nullptr) out = unescaped(out);
    return at;
  }
  // A string, as it stands between its quotes.
  Place read_raw(Place at, std::string_view& out) const {
    bool escaped = false;
    return take_string(at, out, escaped);
  }
  // A number from 0 to 2^31 - 1, its fraction cut off; `out` keeps its value at any other value.
  Place read_count(Place at, std::uint32_t& out);
  Place skip(Place at);  // any value
  // A value that was passed, from where it was met to the place behind it.
  std::string_view view(Place at, Place behind) const {
    at = skip_spaces(at);
    return {at, static_cast<std::size_t>(behind - at)};
  }
  BodySpan span(Place at, Place behind) const {
    at = skip_spaces(at);
    return {static_cast<std::size_t>(at - begin_), static_cast<std::size_t>(behind - at)};
  }

 private:
  Place skip_spaces(Place at) const {
    while (at != end_ && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
    return at;
  }
  Place take(Place at, char c) const {
    if (at != end_ && *at != c) at = skip_spaces(at);
    return at != end_ && *at == c ? at + 1 : nullptr;
  }
  template <class OnItem>
  Place list(Place at, char open, char close, OnItem on_item) {
    at = take(at, open);
    if (at == nullptr || depth_left_ == 0) return nullptr;
    if (const Place behind = take(at, close)) return behind;
    --depth_left_;
    for (;; ++at) {
      at = on_item(at);
      if (at == nullptr) return nullptr;
      at = skip_spaces(at);
      if (at == end_) return nullptr;
      if (*at == ',') continue;
      ++depth_left_;
      return *at == close ? at + 1 : nullptr;
    }
  }
  Place take_string(Place at, std::string_view& raw, bool& escaped) const {
    const Place begin = take(at, '"');
    if (begin == nullptr) return nullptr;
    at = find_special(begin, end_);
    if (at == end_ || *at != '"') at = find_odd_end(at, escaped);
    if (at == nullptr) return nullptr;
    raw = {begin, static_cast<std::size_t>(at - begin)};
    return at + 1;
  }
  Place find_odd_end(Place at, bool& escaped) const;
  Place take_escape(Place at) const;
  Place take_utf8(Place at) const;
  Place take_number(Place at) const;
  Place take_digits(Place at) const;
  Place take_word(Place at, std::string_view word) const;
  std::string_view unescaped(std::string_view raw);

  Place begin_;
  Place end_;
  std::size_t depth_left_;
  std::string unescaped_;
};

}  // namespace perigee::api::json
