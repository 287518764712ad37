#include "toml/toml_table.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <utility>

namespace perigee {
namespace {

// Not by toml's own conversion, which would take text too.
std::optional<double> number_of(const toml::node& node) {
  if (const auto whole = node.value_exact<std::int64_t>()) return static_cast<double>(*whole);
  return node.value_exact<double>();
}

bool within(double value, double least, double most) {
  return std::isfinite(value) && value >= least && value <= most;
}

std::string range(std::string_view what, double least, double most) {
  std::ostringstream text;
  text << what << " from " << least << " to " << most;
  return text.str();
}

}  // namespace

Result<toml::table> parse_toml(std::string_view text, const std::string& path) {
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& failed) {
    return Error{Code::InvalidArgument, path + ":" + std::to_string(failed.source().begin.line) +
                                            ": " + std::string{failed.description()}};
  }
}

TomlTable::TomlTable(const toml::table& table, std::string section, std::string file,
                     EnvironmentLookup environment)
    : table_(&table),
      section_(std::move(section)),
      file_(std::move(file)),
      environment_(environment) {}

std::string TomlTable::full_name(std::string_view key) const {
  return section_.empty() ? std::string{key} : section_ + "." + std::string{key};
}

std::string TomlTable::variable(std::string_view key) const {
  std::string name = "PERIGEE_" + full_name(key);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  return name;
}

Error TomlTable::problem(std::string_view key, std::string_view what) const {
  if (overridden(key)) {
    return Error{Code::InvalidArgument,
                 "environment variable " + variable(key) + ": " + std::string{what},
                 full_name(key)};
  }
  const toml::node* node = table_->get(key);
  const auto line = node != nullptr ? node->source().begin.line : table_->source().begin.line;
  return Error{Code::InvalidArgument,
               file_ + ":" + std::to_string(std::max<std::uint32_t>(line, 1)) + ": " +
                   full_name(key) + ": " + std::string{what},
               full_name(key)};
}

Error TomlTable::error(std::string_view key, std::string_view expected) const {
  return problem(key, "expected " + std::string{expected});
}

const toml::node* TomlTable::find(std::string_view key) {
  read_.emplace(key);
  return table_->get(key);
}

std::optional<std::string> TomlTable::overridden(std::string_view key) const {
  if (environment_ == nullptr) return std::nullopt;
  std::string value = environment_(variable(key));
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

Result<double> TomlTable::number(std::string_view key, double fallback, double least, double most) {
  const toml::node* node = find(key);
  std::optional<double> value = fallback;
  if (const auto text = overridden(key)) {
    double parsed = 0;
    const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), parsed);
    value = failed == std::errc{} && end == text->data() + text->size() ? std::optional{parsed}
                                                                        : std::nullopt;
  } else if (node != nullptr) {
    value = number_of(*node);
  }
  if (!value || !within(*value, least, most)) return error(key, range("a number", least, most));
  return *value;
}

Result<bool> TomlTable::boolean(std::string_view key, bool fallback) {
  const toml::node* node = find(key);
  if (const auto text = overridden(key)) {
    if (*text != "true" && *text != "false") return error(key, "true or false");
    return *text == "true";
  }
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<bool>();
  if (!value) return error(key, "true or false");
  return *value;
}

Result<std::vector<std::string>> TomlTable::strings(std::string_view key) {
  std::vector<std::string> all;
  const toml::node* node = find(key);
  if (node == nullptr) return all;
  if (!node->is_array()) return error(key, "a list of strings");
  for (const toml::node& element : *node->as_array()) {
    const auto value = element.value_exact<std::string>();
    if (!value) return error(key, "a list of strings");
    all.push_back(*value);
  }
  return all;
}

Result<std::vector<double>> TomlTable::numbers(std::string_view key, double least, double most) {
  std::vector<double> all;
  const toml::node* node = find(key);
  if (node == nullptr) return all;
  const std::string expected = range("a list of numbers, each", least, most);
  if (!node->is_array()) return error(key, expected);
  for (const toml::node& element : *node->as_array()) {
    const auto value = number_of(element);
    if (!value || !within(*value, least, most)) return error(key, expected);
    all.push_back(*value);
  }
  return all;
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

Result<> TomlTable::finish(std::string_view manual) const {
  for (const auto& [key, node] : *table_) {
    if (!read_.contains(key.str())) {
      return problem(key.str(), "no such key; see " + std::string{manual});
    }
  }
  return {};
}

}  // namespace perigee
