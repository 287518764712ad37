#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/join_code.h"
#include "cli/json_fields.h"
#include "cli/site_facts.h"
#include "control/control_client.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct TokenArguments : AdminOptions {
  std::string name;
  std::string expires_in = "1h";
  SiteFacts facts;
};

// What the operator registered of the site before; nothing when it is new.
Result<SiteFacts> registered(const TokenArguments& arguments) {
  auto site =
      call_control(arguments, {"GET", "sites/" + control::percent_encode(arguments.name), ""});
  if (!site && site.error().code == Code::NotFound) return SiteFacts{};
  if (!site) return site.error();
  return SiteFacts{text_field(*site, "url"),          text_field(*site, "tier"),
                   text_field(*site, "jurisdiction"), number_field(*site, "latitude"),
                   number_field(*site, "longitude"),  text_field(*site, "city")};
}

void show(const TokenArguments& arguments, const JoinCode& code, const json::value& answer) {
  print(to_string(code) + "\n");
  print_note(
      fmt::format("This is the only time the token is shown. It lets {} join once, until {} UTC.\n"
                  "On that machine: perigee site join TOKEN{} --run",
                  arguments.name, format_time(number_field(answer, "expires_us")),
                  code.facts.url.empty() ? " --url https://HOST:PORT" : ""));
}

int create_token(TokenArguments& arguments) {
  auto expiry = parse_seconds(arguments.expires_in, "--expires-in");
  if (!expiry) {
    report(expiry.error());
    return kExitUsage;
  }
  auto control = find_control(arguments.control);
  if (!control) return report(control.error());
  auto known = registered(arguments);
  if (!known) return report(known.error());
  complete(arguments.facts, *known);
  JsonObject body;
  body.add("site", arguments.name).add("expires_in_s", *expiry);
  if (!arguments.facts.jurisdiction.empty()) {
    body.add("jurisdiction", arguments.facts.jurisdiction);
  }
  auto answer = call_control(arguments, {"POST", "join-tokens", body.take()});
  if (!answer) return report(answer.error());
  const JoinCode code{text_field(*answer, "token"), control->url, text_field(*answer, "ca_sha256"),
                      arguments.name, arguments.facts};
  if (arguments.format == OutputFormat::Json) {
    json::object shown = answer->get_object();
    shown["join_code"] = to_string(code);
    print(json::value(std::move(shown)));  // braces would make an array
  } else {
    show(arguments, code, *answer);
  }
  return kExitOk;
}

}  // namespace

void add_site_token_command(CLI::App& site, int& exit_code) {
  auto arguments = std::make_shared<TokenArguments>();
  CLI::App* command =
      add_admin_command(site, "token", "Create a token that lets one site join, once", *arguments);
  command->add_option("--name", arguments->name, "The site that may join")->required();
  command->add_option("--expires-in", arguments->expires_in, "90s, 15m, 12h, 30d")
      ->capture_default_str();
  add_site_facts(*command, arguments->facts, FactsNeed::AsKnown);
  command->footer(
      "What you say of the site goes with the token, and need not be said there. Its law must be\n"
      "said here, now or by `perigee sites add` before: that is not for the site to choose.\n"
      "Examples:\n"
      "  perigee site token --name metro-leipzig --jurisdiction de --tier metro \\\n"
      "      --latitude 51.34 --longitude 12.37 --city Leipzig\n"
      "  perigee site token --name metro-berlin --expires-in 15m     (registered before)");
  command->callback([arguments, &exit_code] { exit_code = create_token(*arguments); });
}

}  // namespace perigee::cli
