#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "base/clock.h"
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
  std::string operator_role;
  std::string overlap = "24h";
  std::vector<std::string> models;
  std::vector<std::string> classes;
  std::vector<std::string> jurisdictions;
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;

  std::string path() const { return "keys/" + control::percent_encode(id); }
};

void add_scope(JsonObject& body, const KeyArguments& arguments) {
  body.add("models", arguments.models)
      .add("classes", arguments.classes)
      .add("jurisdictions", arguments.jurisdictions)
      .add("requests_per_minute", arguments.requests_per_minute)
      .add("tokens_per_minute", arguments.tokens_per_minute);
}

void show_text(const json::value& answer) { print(text_field(answer, "key") + "\n"); }

int create_key(const KeyArguments& arguments) {
  JsonObject body;
  if (!arguments.operator_role.empty()) {
    body.add("role", "operator").add("operator_role", arguments.operator_role);
  } else {
    body.add("tenant", arguments.tenant);
    add_scope(body, arguments);
  }
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
    show_text(answer);
    print_note(fmt::format("This is the only time the key is shown. It is {}, expires {}.",
                           text_field(answer, "id"),
                           format_time(number_field(answer, "expires_us"))));
  };
  return run_admin(arguments, {"POST", "keys", body.take()}, show);
}

int rotate_key(const KeyArguments& arguments) {
  std::int64_t overlap_s = 0;
  if (arguments.overlap != "0") {
    auto overlap = parse_seconds(arguments.overlap, "--overlap");
    if (!overlap) {
      report(overlap.error());
      return kExitUsage;
    }
    overlap_s = *overlap;
  }
  const auto show = [](const json::value& answer) {
    show_text(answer);
    print_note(fmt::format("This is the only time the key is shown. It is {}; {} works until {}.",
                           text_field(answer, "id"), text_field(answer, "replaces"),
                           format_time(number_field(answer, "replaced_until_us"))));
  };
  return run_admin(
      arguments,
      {"POST", arguments.path() + "/rotate", JsonObject{}.add("overlap_s", overlap_s).take()},
      show);
}

int scope_key(const KeyArguments& arguments) {
  JsonObject body;
  add_scope(body, arguments);
  return run_change(arguments, {"POST", arguments.path() + "/scope", body.take()},
                    "The scope of " + arguments.id + " is replaced.");
}

Cell state_of(const json::value& key) {
  if (flag_field(key, "revoked")) return {"revoked", Tone::Bad};
  const double expires = number_field(key, "expires_us");
  if (expires > 0 && expires <= static_cast<double>(SystemClock{}.wall().micros)) {
    return {"expired", Tone::Bad};
  }
  if (!text_field(key, "replaced_by").empty()) return {"rotated", Tone::Warning};
  return {"good", Tone::Good};
}

// "m, n; batch; de; 60 requests/min".
std::string scope_of(const json::value& key) {
  std::string all;
  const auto add = [&all](const std::string& text) {
    if (!text.empty()) all += (all.empty() ? "" : "; ") + text;
  };
  for (const char* list : {"models", "classes", "jurisdictions"}) {
    std::string names;
    for (const json::value& name : list_field(key, list)) {
      if (!name.is_string()) continue;
      names += (names.empty() ? "" : ", ") + std::string{name.get_string()};
    }
    add(names);
  }
  for (const auto& [rate, unit] : {std::pair{"requests_per_minute", "requests/min"},
                                   std::pair{"tokens_per_minute", "tokens/min"}}) {
    const double most = number_field(key, rate);
    if (most > 0) add(fmt::format("{:.0f} {}", most, unit));
  }
  return all.empty() ? "-" : all;
}

std::string role_of(const json::value& key) {
  const std::string operator_role = text_field(key, "operator_role");
  return operator_role.empty() ? text_field(key, "role") : operator_role;
}

int list_keys(const KeyArguments& arguments) {
  const auto show = [&arguments](const json::value& answer) {
    Table table{{{"ID"},
                 {"ROLE"},
                 {"TENANT"},
                 {"LABEL"},
                 {"CREATED"},
                 {"EXPIRES"},
                 {"LAST USED"},
                 {"STATE"},
                 {"SCOPE"}}};
    for (const json::value& key : list_field(answer, "data")) {
      const std::string tenant = text_field(key, "tenant");
      if (!arguments.tenant.empty() && tenant != arguments.tenant) continue;
      table.add({text_field(key, "id"), role_of(key), tenant, text_field(key, "label"),
                 format_time(number_field(key, "created_us")),
                 format_time(number_field(key, "expires_us")),
                 format_time(number_field(key, "last_used_us")), state_of(key), scope_of(key)});
    }
    print(table);
  };
  return run_admin(arguments, {"GET", "keys", ""}, show);
}

void add_scope_options(CLI::App& command, KeyArguments& arguments) {
  command
      .add_option("--model", arguments.models,
                  "A model that it may use; repeat for several; default: any")
      ->allow_extra_args(false);
  command.add_option("--class", arguments.classes, "A class that it may use; default: any")
      ->allow_extra_args(false)
      ->type_name("realtime|interactive|standard|batch");
  command
      .add_option("--jurisdiction", arguments.jurisdictions,
                  "A law its requests may run under; default: those of its tenant")
      ->allow_extra_args(false);
  command.add_option("--requests-per-minute", arguments.requests_per_minute,
                     "Over the whole grid; default: no limit");
  command.add_option("--tokens-per-minute", arguments.tokens_per_minute,
                     "Prompt and completion, over the whole grid; default: no limit");
}

void add_change_commands(CLI::App& keys, const std::shared_ptr<KeyArguments>& arguments,
                         int& exit_code) {
  CLI::App* rotate = add_admin_command(keys, "rotate",
                                       "Make a key's successor; both work for a while", *arguments);
  rotate->add_option("ID", arguments->id, "As `perigee keys list` shows it")->required();
  rotate->add_option("--overlap", arguments->overlap, "How long the old one still works; 0: not")
      ->capture_default_str();
  rotate->callback([arguments, &exit_code] { exit_code = rotate_key(*arguments); });
  CLI::App* scope = add_admin_command(
      keys, "scope", "Replace what a key may be used for; without options: all", *arguments);
  scope->add_option("ID", arguments->id, "As `perigee keys list` shows it")->required();
  add_scope_options(*scope, *arguments);
  scope->callback([arguments, &exit_code] { exit_code = scope_key(*arguments); });
  CLI::App* revoke =
      add_admin_command(keys, "revoke", "Refuse a key from now on, at every site", *arguments);
  revoke->add_option("ID", arguments->id, "As `perigee keys list` shows it")->required();
  revoke->callback([arguments, &exit_code] {
    exit_code =
        run_change(*arguments, {"DELETE", arguments->path(), ""}, "Revoked " + arguments->id + ".");
  });
}

void add_create_command(CLI::App& keys, const std::shared_ptr<KeyArguments>& arguments,
                        int& exit_code) {
  CLI::App* create =
      add_admin_command(keys, "create", "Create a key; it is shown once", *arguments);
  auto* tenant = create->add_option("--tenant", arguments->tenant, "Whom the key is for");
  auto* role = create
                   ->add_option("--operator", arguments->operator_role,
                                "A key for the control API instead, of this role; default: admin")
                   ->expected(0, 1)
                   ->default_str("admin")
                   ->check(CLI::IsMember({"viewer", "operator", "finance", "admin"}))
                   ->excludes(tenant);
  create->add_option("--label", arguments->label, "What it is used for");
  create->add_option("--expires-in", arguments->expires_in, "90s, 15m, 12h, 30d; default: never");
  add_scope_options(*create, *arguments);
  create->callback([arguments, tenant, role, &exit_code] {
    if (tenant->count() == 0 && role->count() == 0) {
      throw CLI::RequiredError("--tenant NAME or --operator [ROLE]");
    }
    if (role->count() > 0 && arguments->operator_role.empty()) arguments->operator_role = "admin";
    exit_code = create_key(*arguments);
  });
}

}  // namespace

void add_keys_command(CLI::App& app, int& exit_code) {
  CLI::App* keys = app.add_subcommand("keys", "Create, list, rotate and revoke API keys");
  keys->require_subcommand(1);
  auto arguments = std::make_shared<KeyArguments>();
  add_create_command(*keys, arguments, exit_code);
  CLI::App* list = add_admin_command(*keys, "list", "List keys, without their text", *arguments);
  list->add_option("--tenant", arguments->tenant, "Only this tenant's");
  list->callback([arguments, &exit_code] { exit_code = list_keys(*arguments); });
  add_change_commands(*keys, arguments, exit_code);
  keys->footer(
      "Examples:\n"
      "  perigee keys create --tenant acme --label \"build server\" --expires-in 90d\n"
      "  perigee keys create --tenant acme --model perigee-demo --class batch \\\n"
      "    --jurisdiction de --requests-per-minute 60 --tokens-per-minute 20000\n"
      "  perigee keys create --operator viewer --label \"wall screen\"\n"
      "  perigee keys list --tenant acme\n"
      "  perigee keys rotate key_h2Wq0AaBbCcD --overlap 12h\n"
      "  perigee keys revoke key_h2Wq0AaBbCcD");
}

}  // namespace perigee::cli
