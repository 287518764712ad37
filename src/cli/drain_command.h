// `drain` and `undrain`, below `perigee site` and `perigee sites`: people look in both.
#pragma once

#include <CLI/CLI.hpp>

namespace perigee::cli {

void add_drain_commands(CLI::App& parent, int& exit_code);

}  // namespace perigee::cli
