// JsonObject: writes one JSON object as text, field by field, in the order given.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perigee {

// `text` as a JSON string, quotes included. `text` must be valid UTF-8.
std::string json_quote(std::string_view text);

class JsonObject {
 public:
  JsonObject& add(std::string_view name, std::string_view text);
  JsonObject& add(std::string_view name, const char* text) {
    return add(name, std::string_view{text});
  }
  JsonObject& add(std::string_view name, const std::string& text) {
    return add(name, std::string_view{text});
  }
  JsonObject& add(std::string_view name, std::same_as<bool> auto flag) {
    return add_raw(name, flag ? "true" : "false");
  }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  JsonObject& add(std::string_view name, T number) {
    return add_raw(name, std::to_string(number));
  }
  JsonObject& add(std::string_view name, double number);  // shortest text that reads back equal
  JsonObject& add(std::string_view name, const std::vector<std::string>& texts);
  // `json` is written as it is.
  JsonObject& add_raw(std::string_view name, std::string_view json);
  JsonObject& add_null(std::string_view name) { return add_raw(name, "null"); }
  // A list of objects, each already JSON.
  JsonObject& add_list(std::string_view name, const std::vector<std::string>& objects);
  // The object; call once.
  std::string take();

 private:
  void begin_field(std::string_view name);
  std::string text_ = "{";
};

}  // namespace perigee
