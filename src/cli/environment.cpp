#include "cli/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <vector>

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

void forget_perigee_environment() {
  std::vector<std::string> names;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    if (text.starts_with("PERIGEE_")) names.emplace_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace perigee::cli
