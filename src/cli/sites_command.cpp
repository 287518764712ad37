#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/drain_command.h"
#include "cli/json_fields.h"
#include "cli/site_facts.h"
#include "control/control_client.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct SiteArguments : AdminOptions {
  std::string name;
  SiteFacts facts;

  std::string path() const { return "sites/" + control::percent_encode(name); }
};

Cell state_of(const json::value& site) {
  if (flag_field(site, "drained")) return {"drained", Tone::Warning};
  if (!flag_field(site, "joined")) return {"not joined", Tone::Dim};
  return {"joined", Tone::Good};
}

std::string place_of(const json::value& site) {
  return fmt::format("{:.2f}, {:.2f}", number_field(site, "latitude"),
                     number_field(site, "longitude"));
}

void show_sites(const json::value& answer) {
  Table table{{{"SITE"}, {"TIER"}, {"LAW"}, {"CITY"}, {"STATE"}, {"URL"}}};
  for (const json::value& site : list_field(answer, "data")) {
    table.add({text_field(site, "name"), text_field(site, "tier"), text_field(site, "jurisdiction"),
               text_field(site, "city"), state_of(site), text_field(site, "url")});
  }
  print(table);
}

void show_site(const json::value& site) {
  Table table{{{"FIELD"}, {"VALUE"}}};
  table.add({"name", text_field(site, "name")});
  table.add({"url", text_field(site, "url")});
  table.add({"tier", text_field(site, "tier")});
  table.add({"jurisdiction", text_field(site, "jurisdiction")});
  table.add({"city", text_field(site, "city")});
  table.add({"latitude, longitude", place_of(site)});
  table.add({"state", state_of(site)});
  table.add({"revision", fmt::format("{:.0f}", number_field(site, "revision"))});
  print(table);
}

void add_removal(CLI::App& sites, const std::shared_ptr<SiteArguments>& arguments, int& exit_code) {
  CLI::App* command =
      add_admin_command(sites, "remove", "Remove it, its placements and its key", *arguments);
  command->add_option("SITE", arguments->name, "The site's name")->required();
  command->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"DELETE", arguments->path(), ""},
                           fmt::format("Removed {}.", arguments->name));
  });
}

}  // namespace

void add_sites_command(CLI::App& app, int& exit_code) {
  CLI::App* sites = app.add_subcommand("sites", "List, add, drain and remove sites");
  sites->require_subcommand(1);
  auto arguments = std::make_shared<SiteArguments>();
  CLI::App* list = add_admin_command(*sites, "list", "List the sites", *arguments);
  list->callback([arguments, &exit_code] {
    exit_code = run_admin(*arguments, {"GET", "sites", ""}, show_sites);
  });
  CLI::App* show = add_admin_command(*sites, "show", "Show one site", *arguments);
  show->add_option("SITE", arguments->name, "The site's name")->required();
  show->callback([arguments, &exit_code] {
    exit_code = run_admin(*arguments, {"GET", arguments->path(), ""}, show_site);
  });
  CLI::App* add = add_admin_command(*sites, "add", "Register a site before it joins, or change one",
                                    *arguments);
  add->add_option("SITE", arguments->name, "The site's name")->required();
  add_site_facts(*add, arguments->facts, FactsNeed::All);
  add->callback([arguments, &exit_code] {
    exit_code =
        run_change(*arguments, {"PUT", arguments->path(), site_facts(arguments->facts).take()},
                   fmt::format("Site {} is registered. Next: perigee site token --name {}",
                               arguments->name, arguments->name));
  });
  add_drain_commands(*sites, exit_code);
  add_removal(*sites, arguments, exit_code);
  sites->footer(
      "Examples:\n"
      "  perigee sites list\n"
      "  perigee sites add metro-berlin --url https://metro-berlin.example:8100 --tier metro \\\n"
      "      --jurisdiction de --latitude 52.52 --longitude 13.40 --city Berlin\n"
      "  perigee sites drain metro-berlin");
}

}  // namespace perigee::cli
