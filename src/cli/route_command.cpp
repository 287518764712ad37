#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/route_view.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct Options {
  SiteOptions site;
  std::string model;
  std::string prompt = "What is an AI grid?";
  std::string jurisdictions;
  std::string service_class;
  OutputFormat format = OutputFormat::Table;
};

// The first model that the site offers.
Result<std::string> default_model(HttpCaller& caller, const Target& target) {
  Call call;
  call.path = "/v1/models";
  PERIGEE_TRY(models, call_json(caller, target, call));
  const json::array& data = list_field(models, "data");
  if (data.empty()) {
    return Error{Code::FailedPrecondition, "the site offers no model yet; name one with --model"};
  }
  return text_field(data.front(), "id");
}

Result<int> explain(Options options) {
  PERIGEE_TRY(target, find_site(options.site));
  HttpCaller caller;
  if (options.model.empty()) {
    PERIGEE_TRY(model, default_model(caller, target));
    options.model = model;
  }
  const json::array messages{json::object{{"role", "user"}, {"content", options.prompt}}};
  Call call;
  call.method = "POST";
  call.path = "/v1/route/explain";
  call.body = json::serialize(json::object{{"model", options.model}, {"messages", messages}});
  if (!options.jurisdictions.empty()) {
    call.headers.emplace_back("perigee-jurisdictions", options.jurisdictions);
  }
  if (!options.service_class.empty()) {
    call.headers.emplace_back("perigee-class", options.service_class);
  }
  PERIGEE_TRY(explanation, call_json(caller, target, call));
  if (options.format == OutputFormat::Json) {
    print(explanation);
  } else {
    print(fmt::format("{} at {}, milliseconds:\n", printable(options.model), target.url));
    print(route_table(explanation));
    print(printable(route_sentence(explanation)) + "\n");
  }
  return list_field(explanation, "plan").empty() ? kExitDegraded : kExitOk;
}

}  // namespace

void add_route_command(CLI::App& app, int& exit_code) {
  CLI::App* route = app.add_subcommand("route", "Look at routing decisions");
  route->require_subcommand(1);
  CLI::App* command = route->add_subcommand(
      "explain", "Show where a request would run, with every candidate, every term, and why");
  auto options = std::make_shared<Options>();
  add_site_options(*command, options->site);
  command->add_option("--model", options->model,
                      "The model to ask for (default: the first offered)");
  command->add_option("--prompt", options->prompt, "The question; its length and prefix count");
  command->add_option("--jurisdictions", options->jurisdictions, "Laws allowed, as in de,fr");
  command->add_option("--class", options->service_class,
                      "realtime, interactive, standard or batch");
  add_output_option(*command, options->format);
  command->footer(
      "Nothing is run. Exits 3 when no site could serve the request.\n"
      "Examples:\n"
      "  perigee route explain --site cell-strasbourg\n"
      "  perigee route explain --site cell-strasbourg --jurisdictions fr -o json");
  command->callback([options, &exit_code] {
    const auto outcome = explain(*options);
    exit_code = outcome ? *outcome : report(outcome.error());
  });
}

}  // namespace perigee::cli
