// `perigee usage` (commands.h says how subcommands are added).
#pragma once

#include <CLI/CLI.hpp>

namespace perigee::cli {

void add_usage_command(CLI::App& app, int& exit_code);
// `perigee usage aside|take-in|drop`.
void add_usage_aside_commands(CLI::App& usage, int& exit_code);

}  // namespace perigee::cli
