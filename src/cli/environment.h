// Environment: the one place where a process variable is read. Everything else takes values.
#pragma once

#include <optional>
#include <string>

namespace perigee::cli {

// The value of a variable; nullopt when unset or empty.
std::optional<std::string> environment(const char* name);

// Where a running demo keeps its state file: ${XDG_RUNTIME_DIR:-/tmp}/perigee-demo-UID. The folder
// is private (0700); docs/demo.md describes demo.json in it.
std::string demo_runtime_dir();

// Takes every PERIGEE_* variable out of this process, so that the processes it starts don't inherit
// what was meant for it alone. Before any other thread runs.
void forget_perigee_environment();

}  // namespace perigee::cli
