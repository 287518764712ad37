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

struct KeyArguments : AdminOptions {
  std::string tenant;
  std::string label;
  std::string expires_in;
  std::string id;
  bool for_operator = false;
};

int create_key(const KeyArguments& arguments) {
  JsonObject body;
  if (arguments.for_operator)
    body.add("role", "operator");
  else
    body.add("tenant", arguments.tenant);
  if (!arguments.label.empty()) body.add("label", arguments.label);
  if (!arguments.expires_in.empty()) {
    auto expiry = parse_seconds(arguments.expires_in, "--expires-in");
    if (!expiry) {
      report(expiry.error());
      return kExitUsage;
    }
    body.add("expires_in_s", *expiry);
  }
  const auto show = [](const json::value& answer) {
    print(text_field(answer, "key") + "\n");
    print_note(fmt::format("This is the only time the key is shown. It is {}, expires {}.",
                           text_field(answer, "id"),
                           format_time(number_field(answer, "expires_us"))));
  };
  return run_admin(arguments, {"POST", "keys", body.take()}, show);
}

Cell state_of(const json::value& key) {
  if (flag_field(key, "revoked")) return {"revoked", Tone::Bad};
  return {"good", Tone::Good};
}

int list_keys(const KeyArguments& arguments) {
  const auto show = [&arguments](const json::value& answer) {
    Table table{{{"ID"}, {"ROLE"}, {"TENANT"}, {"LABEL"}, {"CREATED"}, {"EXPIRES"}, {"STATE"}}};
    for (const json::value& key : list_field(answer, "data")) {
      const std::string tenant = text_field(key, "tenant");
      if (!arguments.tenant.empty() && tenant != arguments.tenant) continue;
      table.add({text_field(key, "id"), text_field(key, "role"), tenant, text_field(key, "label"),
                 format_time(number_field(key, "created_us")),
                 format_time(number_field(key, "expires_us")), state_of(key)});
    }
    print(table);
  };
  return run_admin(arguments, {"GET", "keys", ""}, show);
}

}  // namespace

void add_keys_command(CLI::App& app, int& exit_code) {
  CLI::App* keys = app.add_subcommand("keys", "Create, list and revoke API keys");
  keys->require_subcommand(1);
  auto arguments = std::make_shared<KeyArguments>();
  CLI::App* create =
      add_admin_command(*keys, "create", "Create a key; it is shown once", *arguments);
  auto* tenant = create->add_option("--tenant", arguments->tenant, "Whom the key is for");
  create->add_flag("--operator", arguments->for_operator, "A key that may change the directory")
      ->excludes(tenant);
  create->add_option("--label", arguments->label, "What it is used for");
  create->add_option("--expires-in", arguments->expires_in, "90s, 15m, 12h, 30d; default: never");
  create->callback([arguments, tenant, &exit_code] {
    if (tenant->count() == 0 && !arguments->for_operator) {
      throw CLI::RequiredError("--tenant NAME or --operator");
    }
    exit_code = create_key(*arguments);
  });
  CLI::App* list = add_admin_command(*keys, "list", "List keys, without their text", *arguments);
  list->add_option("--tenant", arguments->tenant, "Only this tenant's");
  list->callback([arguments, &exit_code] { exit_code = list_keys(*arguments); });
  CLI::App* revoke =
      add_admin_command(*keys, "revoke", "Refuse a key from now on, at every site", *arguments);
  revoke->add_option("ID", arguments->id, "As `perigee keys list` shows it")->required();
  revoke->callback([arguments, &exit_code] {
    exit_code =
        run_change(*arguments, {"DELETE", "keys/" + control::percent_encode(arguments->id), ""},
                   "Revoked " + arguments->id + ".");
  });
  keys->footer(
      "Examples:\n"
      "  perigee keys create --tenant acme --label \"build server\" --expires-in 90d\n"
      "  perigee keys list --tenant acme\n"
      "  perigee keys revoke key_h2Wq0AaBbCcD");
}

}  // namespace perigee::cli
