#include "site/toml_table.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <utility>

namespace perigee {

TomlTable::TomlTable(const toml::table& table, std::string section, std::string file,
                     std::string (*environment)(const std::string& name))
    : table_(&table),
      section_(std::move(section)),
      file_(std::move(file)),
      environment_(environment) {}

std::string TomlTable::full_name(std::string_view key) const {
  return section_.empty() ? std::string{key} : section_ + "." + std::string{key};
}

Error TomlTable::error(std::string_view key, std::string_view expected) const {
  const toml::node* node = table_->get(key);
  const auto line = node != nullptr ? node->source().begin.line : table_->source().begin.line;
  return Error{Code::InvalidArgument,
               file_ + ":" + std::to_string(std::max<std::uint32_t>(line, 1)) + ": " +
                   full_name(key) + ": expected " + std::string{expected},
               full_name(key)};
}

const toml::node* TomlTable::find(std::string_view key) {
  read_.emplace(key);
  return table_->get(key);
}

std::optional<std::string> TomlTable::overridden(std::string_view key) const {
  if (environment_ == nullptr) return std::nullopt;
  std::string name = "PERIGEE_" + full_name(key);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  std::string value = environment_(name);
  return value.empty() ? std::nullopt : std::optional{std::move(value)};
}

Result<std::string> TomlTable::string(std::string_view key, std::string_view fallback) {
  const toml::node* node = find(key);
  if (auto value = overridden(key)) return std::move(*value);
  if (node == nullptr) return std::string{fallback};
  const auto value = node->value_exact<std::string>();
  if (!value) return error(key, "a string in quotes");
  return *value;
}

Result<std::string> TomlTable::required_string(std::string_view key) {
  PERIGEE_TRY(value, string(key, ""));
  if (value.empty()) return error(key, "a value: it is required");
  return value;
}

Result<std::string> TomlTable::path(std::string_view key, std::string_view fallback) {
  PERIGEE_TRY(value, string(key, fallback));
  const std::filesystem::path given{value};
  if (value.empty() || given.is_absolute()) return value;
  return (std::filesystem::path{file_}.parent_path() / given).lexically_normal().string();
}

Result<std::string> TomlTable::required_path(std::string_view key) {
  PERIGEE_CHECK(required_string(key));
  return path(key, "");
}

Result<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t fallback,
                                        std::int64_t least, std::int64_t most) {
  const std::string expected =
      "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  const toml::node* node = find(key);
  std::optional<std::int64_t> value = fallback;
  if (const auto text = overridden(key)) {
    std::int64_t parsed = 0;
    const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), parsed);
    value = failed == std::errc{} && end == text->data() + text->size() ? std::optional{parsed}
                                                                        : std::nullopt;
  } else if (node != nullptr) {
    value = node->value_exact<std::int64_t>();
  }
  if (!value || *value < least || *value > most) return error(key, expected);
  return *value;
}

Result<std::optional<TomlTable>> TomlTable::table(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::optional<TomlTable>{};
  if (!node->is_table()) return error(key, "a [" + full_name(key) + "] section");
  return std::optional{TomlTable{*node->as_table(), full_name(key), file_, environment_}};
}

TomlTable TomlTable::absent(std::string_view key) const {
  static const toml::table kNothing;
  return TomlTable{kNothing, full_name(key), file_, environment_};
}

Result<std::vector<TomlTable>> TomlTable::tables(std::string_view key) {
  std::vector<TomlTable> all;
  const toml::node* node = find(key);
  if (node == nullptr) return all;
  if (!node->is_array_of_tables()) return error(key, "sections [[" + full_name(key) + "]]");
  for (const toml::node& element : *node->as_array()) {
    all.emplace_back(*element.as_table(), full_name(key), file_, nullptr);
  }
  return all;
}

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::string> all;
  for (const auto& [key, node] : *table_) all.emplace_back(key.str());
  return all;
}

Result<> TomlTable::finish() const {
  for (const auto& [key, node] : *table_) {
    if (!read_.contains(key.str())) return error(key.str(), "no such key; see docs/site_config.md");
  }
  return {};
}

}  // namespace perigee
