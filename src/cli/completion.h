// Completion: shell scripts that complete `perigee`'s command line, made from the parser itself, so
// that they always fit it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace perigee::cli {

enum class Shell : std::uint8_t { Bash, Zsh, Fish };

std::string completion_script(const CLI::App& app, Shell shell);

}  // namespace perigee::cli
