#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/output.h"

namespace perigee::cli {
namespace {

#if defined(__clang__)
constexpr std::string_view kCompiler = "clang " __clang_version__;
#else
constexpr std::string_view kCompiler = "g++ " __VERSION__;
#endif

void print_version(OutputFormat format) {
  if (format == OutputFormat::Table) {
    print(fmt::format("perigee {}\n", PERIGEE_VERSION));
    return;
  }
  boost::json::object version{{"name", "perigee"}, {"version", PERIGEE_VERSION}};
  version["compiler"] = kCompiler;
  print(boost::json::value(std::move(version)));
}

}  // namespace

void add_version_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  auto format = std::make_shared<OutputFormat>(OutputFormat::Table);
  add_output_option(*command, *format);
  command->callback([format, &exit_code] {
    print_version(*format);
    exit_code = kExitOk;
  });
}

}  // namespace perigee::cli
