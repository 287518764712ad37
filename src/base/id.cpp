#include "base/id.h"

#include <algorithm>

namespace perigee {
namespace {

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool letter_or_digit(char c) { return lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

}  // namespace

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && lower_or_digit(name.front()) &&
         std::ranges::all_of(
             name, [](char c) { return lower_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool valid_model_name(std::string_view name) {
  return !name.empty() && name.size() <= 2 * kNameBytesMax && letter_or_digit(name.front()) &&
         std::ranges::all_of(name, [](char c) {
           return letter_or_digit(c) ||
                  std::string_view{"._:/@-"}.find(c) != std::string_view::npos;
         });
}

}  // namespace perigee
