#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/admin_call.h"
#include "cli/json_fields.h"
#include "cli/usage_command.h"
#include "directory/json_text.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct AsideArguments : AdminOptions {
  std::vector<std::int64_t> numbers;
  std::string site;
  std::string tenant;
  std::string reason;
  std::int64_t after = 0;
};

void add_choice(CLI::App& command, AsideArguments& arguments) {
  command.add_option("--site", arguments.site, "That this site delivered")->type_name("SITE");
  command.add_option("--tenant", arguments.tenant, "Of this tenant, as they say")
      ->type_name("TENANT");
  command.add_option("--reason", arguments.reason, "That were put aside for this reason")
      ->type_name("unknown_tenant|time|counts|ingress_site|unreadable");
}

std::string list_path(const AsideArguments& arguments) {
  std::string path = fmt::format("usage-aside?after={}", arguments.after);
  if (!arguments.site.empty()) path += "&site=" + arguments.site;
  if (!arguments.tenant.empty()) path += "&tenant=" + arguments.tenant;
  if (!arguments.reason.empty()) path += "&reason=" + arguments.reason;
  return path;
}

void show_aside(const json::value& answer) {
  using Align = Table::Align;
  Table table{{{"NUMBER", Align::Right},
               {"SITE"},
               {"REASON"},
               {"TENANT"},
               {"BEGAN"},
               {"PROMPT", Align::Right},
               {"COMPLETION", Align::Right},
               {"WHY"}}};
  const json::array& rows = list_field(answer, "data");
  for (const json::value& row : rows) {
    const json::value* record = field(row, "record");
    const json::value& told = record == nullptr ? row : *record;
    const double began = number_field(told, "started_us");
    table.add({fmt::format("{:.0f}", number_field(row, "number")), text_field(row, "site"),
               text_field(row, "reason"), text_field(row, "tenant"),
               began > 0 ? format_time(began) : std::string{"-"},
               fmt::format("{:.0f}", number_field(told, "prompt_tokens")),
               fmt::format("{:.0f}", number_field(told, "completion_tokens")),
               text_field(row, "why")});
  }
  if (table.empty()) return print("Nothing is put aside.\n");
  print(table);
  const double more = number_field(answer, "total") - static_cast<double>(rows.size());
  if (more > 0) {
    print_note(
        fmt::format("{:.0f} more: --after {:.0f}", more, number_field(rows.back(), "number")));
  }
}

std::string order(const AsideArguments& arguments, std::int64_t after) {
  JsonObject body;
  if (!arguments.numbers.empty()) {
    body.add_raw("numbers", fmt::format("[{}]", fmt::join(arguments.numbers, ",")));
  }
  if (!arguments.site.empty()) body.add("site", arguments.site);
  if (!arguments.tenant.empty()) body.add("tenant", arguments.tenant);
  if (!arguments.reason.empty()) body.add("reason", arguments.reason);
  return body.add("after", after).take();
}

// One call settles a few: calls until all that is meant was seen.
int settle(const AsideArguments& arguments, const std::string& call, const std::string& done) {
  double settled = 0;
  double unknown = 0;
  double unreadable = 0;
  std::int64_t after = arguments.after;
  for (bool more = true; more;) {
    auto answer = call_control(arguments, {"POST", call, order(arguments, after)});
    if (!answer) return report(answer.error());
    settled += number_field(*answer, done);
    unknown += number_field(*answer, "unknown_tenant");
    unreadable += number_field(*answer, "unreadable");
    after = static_cast<std::int64_t>(number_field(*answer, "after"));
    more = flag_field(*answer, "more");
  }
  if (arguments.format == OutputFormat::Json) {
    json::object sums{{done, static_cast<std::int64_t>(settled)}};
    if (done == "taken") {
      sums["unknown_tenant"] = static_cast<std::int64_t>(unknown);
      sums["unreadable"] = static_cast<std::int64_t>(unreadable);
    }
    print(json::value(std::move(sums)));  // braces would make a list
    return kExitOk;
  }
  print(done == "taken" ? fmt::format("Took in {:.0f} records.\n", settled)
                        : fmt::format("Dropped {:.0f} records.\n", settled));
  if (unknown > 0) {
    print_note(fmt::format("{:.0f} stay aside: their tenants are unknown (perigee tenants create)",
                           unknown));
  }
  if (unreadable > 0) {
    print_note(
        fmt::format("{:.0f} stay aside: this version of control can't read them", unreadable));
  }
  return kExitOk;
}

CLI::App* add_settling(CLI::App& usage, const std::string& name, const std::string& help,
                       const std::shared_ptr<AsideArguments>& arguments) {
  CLI::App* command = add_admin_command(usage, name, help, *arguments);
  command->add_option("NUMBER", arguments->numbers, "As `perigee usage aside` shows them")
      ->expected(0, 200);
  add_choice(*command, *arguments);
  return command;
}

}  // namespace

void add_usage_aside_commands(CLI::App& usage, int& exit_code) {
  auto arguments = std::make_shared<AsideArguments>();
  CLI::App* list = add_admin_command(
      usage, "aside", "Records that are not billed until an operator says so", *arguments);
  add_choice(*list, *arguments);
  list->add_option("--after", arguments->after, "Only higher numbers")->type_name("NUMBER");
  list->callback([arguments, &exit_code] {
    exit_code = run_admin(*arguments, {"GET", list_path(*arguments), ""}, show_aside);
  });
  CLI::App* take_in = add_settling(usage, "take-in", "Bill records that were put aside", arguments);
  take_in->callback(
      [arguments, &exit_code] { exit_code = settle(*arguments, "usage-take-in", "taken"); });
  CLI::App* drop = add_settling(usage, "drop", "Forget records that were put aside", arguments);
  drop->callback(
      [arguments, &exit_code] { exit_code = settle(*arguments, "usage-drop", "dropped"); });
}

}  // namespace perigee::cli
