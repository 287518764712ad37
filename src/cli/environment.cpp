#include "cli/environment.h"

#include <unistd.h>

#include <cstdlib>

namespace perigee::cli {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing calls setenv
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string{value};
}

std::string demo_runtime_dir() {
  return environment("XDG_RUNTIME_DIR").value_or("/tmp") + "/perigee-demo-" +
         std::to_string(::getuid());
}

}  // namespace perigee::cli
