// TomlTable: typed, bounded reads from one TOML table, with errors that name file, line and key,
// and a check that no key was left unread.
#pragma once

#include <toml++/toml.h>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perigee {

// `table` must outlive it.
class TomlTable {
 public:
  // `section` is its dotted name, "" for the root. `environment` may be null.
  TomlTable(const toml::table& table, std::string section, std::string file,
            std::string (*environment)(const std::string& name));

  Result<std::string> string(std::string_view key, std::string_view fallback);
  Result<std::string> required_string(std::string_view key);
  // A file-system path; relative ones are taken from the file's folder.
  Result<std::string> path(std::string_view key, std::string_view fallback);
  Result<std::string> required_path(std::string_view key);
  Result<std::int64_t> integer(std::string_view key, std::int64_t fallback, std::int64_t least,
                               std::int64_t most);
  Result<std::optional<TomlTable>> table(std::string_view key);
  TomlTable absent(std::string_view key) const;                 // an empty section of that name
  Result<std::vector<TomlTable>> tables(std::string_view key);  // [[key]]
  std::vector<std::string> keys() const;
  // InvalidArgument for the first key that nobody asked for.
  Result<> finish() const;
  // "FILE:LINE: SECTION.KEY: expected WHAT".
  Error error(std::string_view key, std::string_view expected) const;

 private:
  const toml::node* find(std::string_view key);
  std::optional<std::string> overridden(std::string_view key) const;
  std::string full_name(std::string_view key) const;

  const toml::table* table_;
  std::string section_;
  std::string file_;
  std::string (*environment_)(const std::string& name);
  std::set<std::string, std::less<>> read_;
};

}  // namespace perigee
