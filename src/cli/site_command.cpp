#include <memory>

#include "cli/commands.h"
#include "cli/drain_command.h"
#include "cli/site_daemon.h"

namespace perigee::cli {
namespace {

struct SiteArguments {
  std::string config = "site.toml";
  bool check = false;
};

}  // namespace

void add_site_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("site", "Run the daemon of a site; add a site, drain one");
  auto arguments = std::make_shared<SiteArguments>();
  command->add_option("--config", arguments->config, "The site's TOML file (docs/site_config.md)")
      ->capture_default_str();
  command->add_flag("--check", arguments->check,
                    "Validate the file, with the key and the token that it names, and exit");
  command->footer(
      "Examples:\n"
      "  perigee site --config /etc/perigee/site.toml\n"
      "  perigee site --config site.toml --check\n"
      "  perigee site token --name metro-berlin --jurisdiction de    (operator: to join with)\n"
      "  perigee site join TOKEN --url https://HOST:8100 --run       (there: join, then run)\n"
      "  perigee site drain metro-berlin                             (operator: for an upgrade)");
  add_site_token_command(*command, exit_code);
  add_site_join_command(*command, exit_code);
  add_drain_commands(*command, exit_code);
  command->require_subcommand(0, 1);
  command->callback([command, arguments, &exit_code] {
    if (!command->get_subcommands().empty()) return;
    exit_code = arguments->check ? check_site_config(arguments->config)
                                 : run_site_daemon(arguments->config);
  });
}

}  // namespace perigee::cli
