// The subcommands of `perigee`: each adds itself to the parser, with its help and examples, and
// when chosen runs and sets the exit status (output.h). Everything captured must be owned by the
// callback: the function returns long before the command runs.
#pragma once

#include <CLI/CLI.hpp>

namespace perigee::cli {

void add_audit_command(CLI::App& app, int& exit_code);
void add_ca_command(CLI::App& app, int& exit_code);
void add_cert_command(CLI::App& app, int& exit_code);
void add_chat_command(CLI::App& app, int& exit_code);
void add_completion_command(CLI::App& app, int& exit_code);
void add_control_command(CLI::App& app, int& exit_code);
void add_demo_command(CLI::App& app, int& exit_code);
void add_engine_command(CLI::App& app, int& exit_code);
void add_issuers_command(CLI::App& app, int& exit_code);
void add_keys_command(CLI::App& app, int& exit_code);
void add_lab_command(CLI::App& app, int& exit_code);
void add_models_command(CLI::App& app, int& exit_code);
void add_plan_command(CLI::App& app, int& exit_code);
void add_receipt_command(CLI::App& app, int& exit_code);
void add_route_command(CLI::App& app, int& exit_code);
void add_sim_command(CLI::App& app, int& exit_code);
void add_sim_faults_command(CLI::App& app, int& exit_code);
void add_site_command(CLI::App& app, int& exit_code);
void add_sites_command(CLI::App& app, int& exit_code);
void add_status_command(CLI::App& app, int& exit_code);
void add_tenants_command(CLI::App& app, int& exit_code);
void add_version_command(CLI::App& app, int& exit_code);

// Below `perigee site`.
void add_site_join_command(CLI::App& site, int& exit_code);
void add_site_token_command(CLI::App& site, int& exit_code);

}  // namespace perigee::cli
