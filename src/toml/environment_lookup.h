// Where settings may come from besides a file.
#pragma once

#include <string>

namespace perigee {

// The value of an environment variable, "" when it is not set. A setting's variable is
// PERIGEE_SECTION_KEY: capitals, dots as underscores. Null: nothing is looked up.
using EnvironmentLookup = std::string (*)(const std::string& name);

}  // namespace perigee
