#include "arguments.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace perigee::scenarios {

Arguments::Arguments(std::string_view line) {
  std::istringstream words{std::string{line}};
  words >> command_;
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      words_.push_back(word);
    } else {
      pairs_.push_back({.key = word.substr(0, equals), .value = word.substr(equals + 1)});
    }
  }
}

const std::string& Arguments::word(std::size_t n) const {
  if (n >= words_.size()) throw std::runtime_error(command_ + ": too few words");
  return words_[n];
}

bool Arguments::has_word(std::string_view word) {
  return std::ranges::find(words_, word) != words_.end();
}

std::optional<std::string> Arguments::text(std::string_view key) {
  for (Pair& pair : pairs_) {
    if (pair.key != key) continue;
    pair.used = true;
    return pair.value;
  }
  return std::nullopt;
}

std::optional<double> Arguments::number(std::string_view key) {
  const std::optional<std::string> value = text(key);
  if (!value) return std::nullopt;
  std::size_t end = 0;
  const double number = std::stod(*value, &end);
  if (end != value->size()) throw std::runtime_error(command_ + ": not a number: " + *value);
  return number;
}

std::uint32_t Arguments::count(std::string_view key, std::uint32_t otherwise) {
  const std::optional<double> value = number(key);
  return value ? static_cast<std::uint32_t>(*value) : otherwise;
}

void Arguments::all_used() const {
  for (const Pair& pair : pairs_) {
    if (!pair.used) throw std::runtime_error(command_ + ": unknown argument " + pair.key);
  }
}

}  // namespace perigee::scenarios
