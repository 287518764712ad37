#include "cli/usage_command.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/admin_call.h"
#include "cli/json_fields.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct UsageArguments : AdminOptions {
  std::vector<std::string> by{"tenant", "model"};
  std::string since = "30d";
  std::string tenant;
};

Result<std::string> path_of(const UsageArguments& arguments) {
  PERIGEE_TRY(since, parse_seconds(arguments.since, "--since"));
  std::string by;
  for (const std::string& key : arguments.by) by += (by.empty() ? "" : ",") + key;
  const std::int64_t from = SystemClock{}.wall().micros - since * 1'000'000;
  std::string path = fmt::format("usage?by={}&from_us={}", by, std::max<std::int64_t>(from, 0));
  if (!arguments.tenant.empty()) path += "&tenant=" + arguments.tenant;
  return path;
}

void show(const std::vector<std::string>& by, const json::value& answer) {
  using Align = Table::Align;
  std::vector<Table::Column> columns;
  for (std::string title : by) {
    for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    columns.push_back({title});
  }
  for (const char* title : {"REQUESTS", "FAILED", "ABANDONED", "PROMPT", "CACHED", "COMPLETION"}) {
    columns.push_back({title, Align::Right});
  }
  Table table{columns};
  for (const json::value& sum : list_field(answer, "data")) {
    std::vector<Cell> row;
    for (const std::string& key : by) row.emplace_back(text_field(sum, key));
    for (const char* name : {"requests", "failed", "abandoned", "prompt_tokens", "cached_tokens",
                             "completion_tokens"}) {
      row.emplace_back(fmt::format("{:.0f}", number_field(sum, name)));
    }
    table.add(std::move(row));
  }
  if (table.empty())
    print("No usage was delivered in that time.\n");
  else
    print(table);
  if (const double aside = number_field(answer, "aside"); aside > 0) {
    print_note(fmt::format("{:.0f} records are in no sum: perigee usage aside", aside));
  }
}

int run(const UsageArguments& arguments) {
  auto path = path_of(arguments);
  if (!path) return report(path.error());
  return run_admin(arguments, {"GET", *path, ""},
                   [&](const json::value& answer) { show(arguments.by, answer); });
}

}  // namespace

void add_usage_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<UsageArguments>();
  CLI::App* command = add_admin_command(
      app, "usage", "Sum up what tenants used, as sites delivered it", *arguments);
  command->add_option("--by", arguments->by, "What sums are told apart by")
      ->delimiter(',')
      ->type_name("tenant,model,site,ingress,class,day")
      ->capture_default_str();
  command->add_option("--since", arguments->since, "Requests that began so long ago at most")
      ->type_name("TIME")
      ->capture_default_str();
  command->add_option("--tenant", arguments->tenant, "Of one tenant")->type_name("TENANT");
  command->footer(
      "A record is counted once however often it is delivered. What a site could not deliver yet\n"
      "waits there: perigee status shows how much.\n"
      "Examples:\n"
      "  perigee usage\n"
      "  perigee usage --by tenant,day --since 7d\n"
      "  perigee usage --by site --tenant acme -o json\n"
      "  perigee usage aside                                (what was not believed, and why)\n"
      "  perigee usage take-in --reason unknown_tenant --tenant acme\n"
      "  perigee usage drop 17 18");
  add_usage_aside_commands(*command, exit_code);
  command->require_subcommand(0, 1);
  command->callback([command, arguments, &exit_code] {
    if (command->get_subcommands().empty()) exit_code = run(*arguments);
  });
}

}  // namespace perigee::cli
