#include "directory/json_text.h"

#include <array>
#include <charconv>
#include <utility>

namespace perigee {
namespace {

void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20) {
      out += "\\u00";
      out.push_back(digits[byte >> 4U]);
      out.push_back(digits[byte & 15U]);
    } else {
      out.push_back(c);
    }
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
  return add_raw(name, json_quote(text));
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
  if (text_.size() > 1) text_.push_back(',');
  append_quoted(text_, name);
  text_.push_back(':');
  text_ += json;
  return *this;
}

JsonObject& JsonObject::add_list(std::string_view name, const std::vector<std::string>& objects) {
  std::string list = "[";
  for (const std::string& object : objects) {
    if (list.size() > 1) list.push_back(',');
    list += object;
  }
  list.push_back(']');
  return add_raw(name, list);
}

std::string JsonObject::take() {
  text_.push_back('}');
  return std::move(text_);
}

}  // namespace perigee
