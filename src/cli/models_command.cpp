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

struct ModelArguments : AdminOptions {
  std::string name;
  std::string site;
  std::string file;
  std::string sha256;
  std::string owned_by;
  std::uint32_t context_tokens = 0;
  bool external = false;
  std::uint32_t engines = 1;
  std::uint32_t slots = 8;
  std::uint32_t threads = 1;

  std::string path() const { return "models/" + control::percent_encode(name); }
  std::string placement_path() const {
    return "placements/" + control::percent_encode(site) + "/" + control::percent_encode(name);
  }
};

// Each model with its placements.
Result<json::array> models_with_placements(const AdminOptions& options) {
  PERIGEE_TRY(models, call_control(options, {"GET", "models", ""}));
  PERIGEE_TRY(placements, call_control(options, {"GET", "placements", ""}));
  json::array all;
  for (const json::value& model : list_field(models, "data")) {
    if (!model.is_object()) continue;
    json::object entry = model.get_object();
    json::array placed;
    for (const json::value& placement : list_field(placements, "data")) {
      if (text_field(placement, "model") == text_field(model, "name")) placed.push_back(placement);
    }
    entry["placements"] = std::move(placed);
    all.push_back(std::move(entry));
  }
  return all;
}

int list_models(const AdminOptions& options) {
  auto models = models_with_placements(options);
  if (!models) return report(models.error());
  if (options.format == OutputFormat::Json) {
    json::object list;
    list["object"] = "list";
    list["data"] = std::move(*models);
    print(json::value(std::move(list)));  // braces would make an array
    return kExitOk;
  }
  Table table{{{"MODEL"}, {"KIND"}, {"FILE"}, {"PLACED AT"}}};
  for (const json::value& model : *models) {
    std::string sites;
    for (const json::value& placement : list_field(model, "placements")) {
      sites += (sites.empty() ? "" : ", ") + text_field(placement, "site");
    }
    table.add({text_field(model, "name"), text_field(model, "kind"), text_field(model, "file"),
               sites.empty() ? Cell{"nowhere", Tone::Dim} : Cell{sites}});
  }
  print(table);
  return kExitOk;
}

int add_model(const ModelArguments& arguments) {
  JsonObject body;
  body.add("kind", arguments.external ? "external" : "llama");
  if (!arguments.file.empty()) body.add("file", arguments.file);
  if (!arguments.sha256.empty()) body.add("sha256", arguments.sha256);
  if (!arguments.owned_by.empty()) body.add("owned_by", arguments.owned_by);
  body.add("context_tokens", arguments.context_tokens);
  return run_change(arguments, {"PUT", arguments.path(), body.take()},
                    fmt::format("Model {} is registered. Next: perigee models place {} SITE",
                                arguments.name, arguments.name));
}

int place_model(const ModelArguments& arguments) {
  JsonObject body;
  body.add("engines", arguments.engines)
      .add("slots", arguments.slots)
      .add("threads", arguments.threads);
  return run_change(arguments, {"PUT", arguments.placement_path(), body.take()},
                    fmt::format("{} will run at {}.", arguments.name, arguments.site));
}

void add_placement_commands(CLI::App& models, const std::shared_ptr<ModelArguments>& arguments,
                            int& exit_code) {
  CLI::App* place = add_admin_command(models, "place", "Have a model run at a site", *arguments);
  CLI::App* unplace = add_admin_command(models, "unplace", "Stop a model at a site", *arguments);
  for (CLI::App* command : {place, unplace}) {
    command->add_option("MODEL", arguments->name, "The model's name")->required();
    command->add_option("SITE", arguments->site, "The site's name")->required();
  }
  place->add_option("--engines", arguments->engines, "Processes")->capture_default_str();
  place->add_option("--slots", arguments->slots, "Sequences at once, per engine")
      ->capture_default_str();
  place->add_option("--threads", arguments->threads, "Threads per engine")->capture_default_str();
  place->callback([arguments, &exit_code] { exit_code = place_model(*arguments); });
  unplace->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"DELETE", arguments->placement_path(), ""},
                           fmt::format("{} will stop at {}.", arguments->name, arguments->site));
  });
}

}  // namespace

void add_models_command(CLI::App& app, int& exit_code) {
  CLI::App* models = app.add_subcommand("models", "Register models and say where they run");
  models->require_subcommand(1);
  auto arguments = std::make_shared<ModelArguments>();
  CLI::App* list = add_admin_command(*models, "list", "List models and where they run", *arguments);
  list->callback([arguments, &exit_code] { exit_code = list_models(*arguments); });
  CLI::App* add = add_admin_command(*models, "add", "Register a model, or change one", *arguments);
  add->add_option("MODEL", arguments->name, "As clients name it")->required();
  auto* file = add->add_option("--file", arguments->file, "GGUF file in each site's models folder");
  add->add_flag("--external", arguments->external, "Served by engines that a site names by URL")
      ->excludes(file);
  add->add_option("--sha256", arguments->sha256, "Of the file, in hex");
  add->add_option("--context-tokens", arguments->context_tokens, "0: the model's own")
      ->capture_default_str();
  add->add_option("--owned-by", arguments->owned_by, "As /v1/models shows it");
  add->callback([arguments, &exit_code] { exit_code = add_model(*arguments); });
  CLI::App* remove = add_admin_command(*models, "remove", "Remove a model", *arguments);
  remove->add_option("MODEL", arguments->name, "The model's name")->required();
  remove->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"DELETE", arguments->path(), ""},
                           "Removed " + arguments->name + ".");
  });
  add_placement_commands(*models, arguments, exit_code);
  models->footer(
      "Examples:\n"
      "  perigee models add perigee-demo --file perigee-demo.gguf\n"
      "  perigee models place perigee-demo metro-berlin --slots 8\n"
      "  perigee models unplace perigee-demo metro-berlin");
}

}  // namespace perigee::cli
