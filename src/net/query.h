// The query of a target: "name=value&name=value". Values are taken as they stand: nothing that
// Perigee asks for needs %-escapes.
#pragma once

#include <algorithm>
#include <string_view>

namespace perigee::net {

struct QueryField {
  std::string_view name;
  std::string_view value;  // empty without a '='
};

// Takes the first field off `query`, which must not be empty.
inline QueryField take_query_field(std::string_view& query) {
  const std::string_view field = query.substr(0, query.find('&'));
  query.remove_prefix(std::min(field.size() + 1, query.size()));
  const std::string_view name = field.substr(0, field.find('='));
  return {name, field.substr(std::min(name.size() + 1, field.size()))};
}

}  // namespace perigee::net
