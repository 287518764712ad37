// perigee: one program, one subcommand per role.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/parse_trouble.h"
#include "cli/usage_command.h"

int main(int argc, char** argv) {
  using namespace perigee;
  CLI::App app{"Perigee turns a telecom operator's sites into one inference grid.", "perigee"};
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "perigee: " + cli::trouble_of(*failed, error) + "\nSee `" + failed->get_name() +
           " [COMMAND] --help`.\n";
  });
  app.footer(
      "Start here:\n"
      "  perigee demo                 a grid of six sites on this machine\n"
      "  perigee chat                 talk to it\n"
      "  perigee COMMAND --help       what a command does, with examples");
  int exit_code = cli::kExitOk;
  cli::add_demo_command(app, exit_code);
  cli::add_chat_command(app, exit_code);
  cli::add_status_command(app, exit_code);
  cli::add_route_command(app, exit_code);
  cli::add_site_command(app, exit_code);
  cli::add_sites_command(app, exit_code);
  cli::add_models_command(app, exit_code);
  cli::add_tenants_command(app, exit_code);
  cli::add_keys_command(app, exit_code);
  cli::add_issuers_command(app, exit_code);
  cli::add_receipt_command(app, exit_code);
  cli::add_audit_command(app, exit_code);
  cli::add_control_command(app, exit_code);
  cli::add_ca_command(app, exit_code);
  cli::add_cert_command(app, exit_code);
  cli::add_engine_command(app, exit_code);
  cli::add_lab_command(app, exit_code);
  cli::add_sim_command(app, exit_code);
  cli::add_sim_faults_command(app, exit_code);
  cli::add_plan_command(app, exit_code);
  cli::add_completion_command(app, exit_code);
  cli::add_usage_command(app, exit_code);
  cli::add_version_command(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::kExitOk : cli::kExitUsage;
  }
  return exit_code;
}
