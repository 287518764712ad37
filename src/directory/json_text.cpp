#include "directory/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace perigee {
namespace {

bool needs_escape(char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }

void append_escaped(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x20) {
    out += "\\u00";
    out.push_back(digits[byte >> 4U]);
    out.push_back(digits[byte & 15U]);
  } else {
    out.push_back('\\');
    out.push_back(c);
  }
}

// Nearly all text has nothing to escape: it is copied by runs, not by characters.
void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (;;) {
    const auto escape = std::ranges::find_if(text, needs_escape);
    out.append(text.begin(), escape);
    if (escape == text.end()) break;
    append_escaped(out, *escape);
    text = std::string_view{escape + 1, text.end()};
  }
  out.push_back('"');
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string quoted;
  append_quoted(quoted, text);
  return quoted;
}

JsonObject& JsonObject::add(std::string_view name, std::string_view text) {
  begin_field(name);
  append_quoted(text_, text);
  return *this;
}

JsonObject& JsonObject::add(std::string_view name, double number) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), number);
  return add_raw(name, std::string_view{text.data(), written.ptr});
}

JsonObject& JsonObject::add(std::string_view name, const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  quoted.reserve(texts.size());
  for (const std::string& text : texts) quoted.push_back(json_quote(text));
  return add_list(name, quoted);
}

JsonObject& JsonObject::add_raw(std::string_view name, std::string_view json) {
  begin_field(name);
  text_ += json;
  return *this;
}

void JsonObject::begin_field(std::string_view name) {
  if (text_.size() > 1) text_.push_back(',');
  append_quoted(text_, name);
  text_.push_back(':');
}

JsonObject& JsonObject::add_list(std::string_view name, const std::vector<std::string>& objects) {
  begin_field(name);
  text_.push_back('[');
  for (const std::string& object : objects) {
    if (&object != objects.data()) text_.push_back(',');
    text_ += object;
  }
  text_.push_back(']');
  return *this;
}

std::string JsonObject::take() {
  text_.push_back('}');
  return std::move(text_);
}

}  // namespace perigee
