// What the operator's subcommands share: each is one call of the control API (docs/control_api.md),
// and prints its answer as a table or as the JSON that control sent.
#pragma once

#include <CLI/CLI.hpp>
#include <boost/json/fwd.hpp>
#include <functional>
#include <memory>
#include <string>

#include "cli/connection.h"
#include "cli/http_call.h"
#include "cli/output.h"

namespace perigee::cli {

struct AdminOptions {
  ControlOptions control;
  OutputFormat format = OutputFormat::Table;
};
// `--control`, `--operator-key-file`, `-o`. `options` must outlive the parse.
void add_admin_options(CLI::App& command, AdminOptions& options);

struct AdminCall {
  std::string method = "GET";
  std::string path;  // behind /control/v1/, names percent-encoded
  std::string body;  // JSON, or empty
};
Result<boost::json::value> call_control(const AdminOptions& options, const AdminCall& call);

// Calls and prints: as JSON as it came, else by `show`. Returns the exit status.
using Show = std::function<void(const boost::json::value&)>;
int run_admin(const AdminOptions& options, const AdminCall& call, const Show& show);
// The same for a change, with one sentence to print.
int run_change(const AdminOptions& options, const AdminCall& call, const std::string& done);

// A subcommand of `parent` with its help and the options above. `options` must outlive the parse.
CLI::App* add_admin_command(CLI::App& parent, const std::string& name, const std::string& help,
                            AdminOptions& options);

// "30d", "12h", "15m", "90s" in seconds; InvalidArgument says so.
Result<std::int64_t> parse_seconds(std::string_view text, std::string_view flag);
// Microseconds since 1970 as "2026-08-01 12:00" UTC; "never" for 0.
std::string format_time(double micros);

}  // namespace perigee::cli
