#include "cli/parse_trouble.h"

#include <vector>

#include "cli/output.h"

namespace perigee::cli {

std::string trouble_of(const CLI::App& app, const CLI::Error& error) {
  const CLI::App* last = &app;  // the innermost command that was understood
  while (!last->get_subcommands().empty()) last = last->get_subcommands().front();
  const std::vector<std::string> rest = last->remaining();
  const auto known = last->get_subcommands([](const CLI::App*) { return true; });
  if (known.empty() || rest.empty() || rest.front().starts_with('-')) return error.what();
  std::string names;
  for (const CLI::App* each : known) {
    if (!each->get_group().empty()) names += (names.empty() ? "" : ", ") + each->get_name();
  }
  return last->get_name() + " has no command '" + printable(rest.front()) + "'; it has " + names;
}

}  // namespace perigee::cli
