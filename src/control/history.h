// What names a life of the directory and its course: docs/directory.md, Histories.
#pragma once

#include <string_view>

namespace perigee::control {

// Of "EPOCH/GENERATION"; stores and sites before generations have the first alone.
inline std::string_view epoch_of(std::string_view text) { return text.substr(0, text.find('/')); }
inline std::string_view generation_of(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash == std::string_view::npos ? std::string_view{} : text.substr(slash + 1);
}

}  // namespace perigee::control
