#include <memory>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/drain_command.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "net/child_process.h"
#include "site/site.h"

namespace perigee::cli {
namespace {

struct SiteArguments {
  std::string config = "site.toml";
  bool check = false;
};

std::string variable(const std::string& name) { return environment(name.c_str()).value_or(""); }

int run_site(const SiteArguments& arguments) {
  auto config = load_site_config(arguments.config, variable);
  if (!config) return report(config.error());
  if (arguments.check) {
    print(arguments.config + ": good\n");
    return kExitOk;
  }
  log::configure(config->log_level, config->log_format, config->name.str());
  Site site{std::move(*config), net::own_program_path()};
  if (auto started = site.start(); !started) return report(started.error());
  const int status = site.run();
  log::flush();
  return status;
}

}  // namespace

void add_site_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("site", "Run the daemon of a site; add a site, drain one");
  auto arguments = std::make_shared<SiteArguments>();
  command->add_option("--config", arguments->config, "The site's TOML file (docs/site_config.md)")
      ->capture_default_str();
  command->add_flag("--check", arguments->check, "Validate the file and exit");
  command->footer(
      "Examples:\n"
      "  perigee site --config /etc/perigee/site.toml\n"
      "  perigee site --config site.toml --check\n"
      "  perigee site token --name metro-berlin            (operator: a token to join with)\n"
      "  perigee site drain metro-berlin                   (operator: empty it, for an upgrade)\n"
      "  perigee site join TOKEN --control URL --name metro-berlin --state-dir DIR ...");
  add_site_token_command(*command, exit_code);
  add_site_join_command(*command, exit_code);
  add_drain_commands(*command, exit_code);
  command->require_subcommand(0, 1);
  command->callback([command, arguments, &exit_code] {
    if (command->get_subcommands().empty()) exit_code = run_site(*arguments);
  });
}

}  // namespace perigee::cli
