#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "control/audit_log.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct AuditArguments {
  std::string file;
  std::string hash;
  OutputFormat format = OutputFormat::Table;
};

int list(const AuditArguments& arguments) {
  Table table{{{"SEQ"}, {"WHEN"}, {"WHO"}, {"FROM"}, {"WHAT"}, {"NAME"}, {"REVISION"}}};
  const auto end = control::check_audit_file(arguments.file, [&](std::string_view line) {
    if (arguments.format == OutputFormat::Json) return print(std::string{line} + "\n");
    const json::value entry = json::parse(line);
    table.add(
        {fmt::format("{:.0f}", number_field(entry, "seq")),
         format_time(number_field(entry, "time_us")), text_field(entry, "actor"),
         text_field(entry, "from"),
         text_field(entry, "action") + (entry.as_object().contains("failed") ? " (failed)" : ""),
         text_field(entry, "name"), fmt::format("{:.0f}", number_field(entry, "revision"))});
  });
  if (arguments.format == OutputFormat::Table && !table.empty()) print(table);
  return end ? kExitOk : report(end.error());
}

int verify(const AuditArguments& arguments) {
  bool seen = arguments.hash.empty();
  const auto end = control::check_audit_file(arguments.file, [&](std::string_view line) {
    seen = seen || line.ends_with("\"hash\":\"" + arguments.hash + "\"}");
  });
  if (!end) return report(end.error());
  if (!seen) {
    return report(
        {Code::DataLoss,
         "tampered audit log: the line with that hash is not in it: its end was cut off"});
  }
  if (arguments.format == OutputFormat::Json) {
    print(json::value{{"verified", true}, {"lines", end->lines}, {"hash", end->hash}});
    return kExitOk;
  }
  print(
      fmt::format("Verified: {} changes. Keep the last hash to know later that none was cut off:\n"
                  "{}\n",
                  end->lines, end->hash));
  return kExitOk;
}

}  // namespace

void add_audit_command(CLI::App& app, int& exit_code) {
  CLI::App* audit = app.add_subcommand("audit", "List and verify who changed what in the grid");
  audit->require_subcommand(1);
  auto arguments = std::make_shared<AuditArguments>();
  const auto add = [&](const char* name, const char* help) {
    CLI::App* command = audit->add_subcommand(name, help);
    command->add_option("FILE", arguments->file, "audit.log in control's state folder")->required();
    add_output_option(*command, arguments->format);
    return command;
  };
  add("list", "Every change, as far as the log is whole")->callback([arguments, &exit_code] {
    exit_code = list(*arguments);
  });
  CLI::App* check = add("verify", "That no line was changed, removed or put in");
  check->add_option("--hash", arguments->hash, "Also that the line with this hash is still there");
  check->callback([arguments, &exit_code] { exit_code = verify(*arguments); });
  audit->footer(
      "Each line names the hash of the one before; what was tampered with shows at its line.\n"
      "Examples:\n"
      "  perigee audit list /var/lib/perigee/control/audit.log\n"
      "  perigee audit verify /var/lib/perigee/control/audit.log --hash 9f86d081...");
}

}  // namespace perigee::cli
