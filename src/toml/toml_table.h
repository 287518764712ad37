// TomlTable: typed, bounded reads from one TOML table, with errors that name file, line and key (or
// the environment's variable), and a check that no key was left unread.
#pragma once

#include <toml++/toml.h>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "toml/environment_lookup.h"

namespace perigee {

// The whole file's table; InvalidArgument "PATH:LINE: WHY" when it is no TOML.
Result<toml::table> parse_toml(std::string_view text, const std::string& path);

// `table` must outlive it.
class TomlTable {
 public:
  // `section` is its dotted name, "" for the root.
  TomlTable(const toml::table& table, std::string section, std::string file,
            EnvironmentLookup environment);

  Result<std::string> string(std::string_view key, std::string_view fallback);
  Result<std::string> required_string(std::string_view key);
  // A file-system path; relative ones are taken from the file's folder.
  Result<std::string> path(std::string_view key, std::string_view fallback);
  Result<std::string> required_path(std::string_view key);
  Result<std::int64_t> integer(std::string_view key, std::int64_t fallback, std::int64_t least,
                               std::int64_t most);
  // Whole numbers do too; never an infinity or a NaN.
  Result<double> number(std::string_view key, double fallback, double least, double most);
  Result<bool> boolean(std::string_view key, bool fallback);
  // [] when absent.
  Result<std::vector<std::string>> strings(std::string_view key);
  Result<std::vector<double>> numbers(std::string_view key, double least, double most);
  Result<std::optional<TomlTable>> table(std::string_view key);
  TomlTable absent(std::string_view key) const;                 // an empty section of that name
  Result<std::vector<TomlTable>> tables(std::string_view key);  // [[key]]
  std::vector<std::string> keys() const;
  // InvalidArgument for the first key that nobody asked for: "no such key; see MANUAL".
  Result<> finish(std::string_view manual) const;
  // InvalidArgument "FILE:LINE: SECTION.KEY: WHAT", or "PERIGEE_SECTION_KEY: WHAT" when the
  // environment set the value.
  Error problem(std::string_view key, std::string_view what) const;
  // The same with "expected EXPECTED".
  Error error(std::string_view key, std::string_view expected) const;

 private:
  const toml::node* find(std::string_view key);
  std::optional<std::string> overridden(std::string_view key) const;
  std::string full_name(std::string_view key) const;
  std::string variable(std::string_view key) const;

  const toml::table* table_;
  std::string section_;
  std::string file_;
  EnvironmentLookup environment_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace perigee
