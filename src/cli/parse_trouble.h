// What a command line lacks or has too much, in words for people.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace perigee::cli {

// The parser itself says of `perigee foo` only that a command is required: this names what is
// unknown, and the commands that there are. Anything else is said as the parser says it.
std::string trouble_of(const CLI::App& app, const CLI::Error& error);

}  // namespace perigee::cli
