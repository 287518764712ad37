#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/json_fields.h"
#include "control/control_client.h"
#include "directory/json_text.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct TenantArguments : AdminOptions {
  std::string name;
  std::string display_name;
  std::vector<std::string> jurisdictions;

  std::string path() const { return "tenants/" + control::percent_encode(name); }
};

int create_tenant(const TenantArguments& arguments) {
  JsonObject body;
  body.add("display_name", arguments.display_name).add("jurisdictions", arguments.jurisdictions);
  return run_change(arguments, {"PUT", arguments.path(), body.take()},
                    fmt::format("Tenant {} is there. Next: perigee keys create --tenant {}",
                                arguments.name, arguments.name));
}

std::string joined(const json::array& texts) {
  std::string all;
  for (const json::value& text : texts) {
    if (!all.empty()) all += ", ";
    if (text.is_string()) all += text.get_string();
  }
  return all.empty() ? "any" : all;
}

void show_tenants(const json::value& answer) {
  Table table{{{"TENANT"}, {"NAME"}, {"JURISDICTIONS"}, {"STATE"}}};
  for (const json::value& tenant : list_field(answer, "data")) {
    const bool suspended = flag_field(tenant, "suspended");
    table.add({text_field(tenant, "name"), text_field(tenant, "display_name"),
               joined(list_field(tenant, "jurisdictions")),
               suspended ? Cell{"suspended", Tone::Bad} : Cell{"good", Tone::Good}});
  }
  print(table);
}

}  // namespace

void add_tenants_command(CLI::App& app, int& exit_code) {
  CLI::App* tenants = app.add_subcommand("tenants", "Create, list, suspend and remove tenants");
  tenants->require_subcommand(1);
  auto arguments = std::make_shared<TenantArguments>();
  const auto add = [&](const std::string& name, const std::string& help) {
    CLI::App* command = add_admin_command(*tenants, name, help, *arguments);
    command->add_option("TENANT", arguments->name, "The tenant's name")->required();
    return command;
  };
  CLI::App* create = add("create", "Create a tenant, or change one");
  create->add_option("--display-name", arguments->display_name, "For people");
  create->add_option("--jurisdiction", arguments->jurisdictions,
                     "Its requests run only under this law; repeat for several; default: any");
  create->callback([arguments, &exit_code] { exit_code = create_tenant(*arguments); });
  CLI::App* list = add_admin_command(*tenants, "list", "List tenants", *arguments);
  list->callback([arguments, &exit_code] {
    exit_code = run_admin(*arguments, {"GET", "tenants", ""}, show_tenants);
  });
  CLI::App* suspend = add("suspend", "Refuse all its keys until it is resumed");
  suspend->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"POST", arguments->path() + "/suspend", ""},
                           "Suspended " + arguments->name + ".");
  });
  CLI::App* resume = add("resume", "Take its keys again");
  resume->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"POST", arguments->path() + "/resume", ""},
                           "Resumed " + arguments->name + ".");
  });
  CLI::App* remove = add("remove", "Remove it and its keys");
  remove->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"DELETE", arguments->path(), ""},
                           "Removed " + arguments->name + " and its keys.");
  });
  tenants->footer(
      "Examples:\n"
      "  perigee tenants create acme --display-name \"Acme GmbH\" --jurisdiction de\n"
      "  perigee tenants suspend acme");
}

}  // namespace perigee::cli
