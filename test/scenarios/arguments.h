// Arguments of a scenario command: `name positional... key=value... flag`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace perigee::scenarios {

class Arguments {
 public:
  explicit Arguments(std::string_view line);
  const std::string& command() const { return command_; }
  // The n-th word without '='; throws when there are fewer.
  const std::string& word(std::size_t n) const;
  bool has_word(std::string_view word);
  std::optional<std::string> text(std::string_view key);
  std::optional<double> number(std::string_view key);
  std::uint32_t count(std::string_view key, std::uint32_t otherwise);
  // Throws when a key was given that nobody asked for.
  void all_used() const;

 private:
  struct Pair {
    std::string key;
    std::string value;
    bool used = false;
  };
  std::string command_;
  std::vector<std::string> words_;
  std::vector<Pair> pairs_;
};

}  // namespace perigee::scenarios
