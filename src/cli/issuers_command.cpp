#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/json_fields.h"
#include "control/control_client.h"
#include "directory/json_text.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kJwksBytesMax = 64 * 1024;

struct IssuerArguments : AdminOptions {
  std::string name;
  std::string issuer;
  std::string audience;
  std::vector<std::string> algorithms;
  std::string jwks_file;
  std::string jwks_url;
  std::string tenant_claim;
  std::string tenant;
  std::int64_t clock_skew_s = 60;
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;

  std::string path() const { return "issuers/" + control::percent_encode(name); }
};

// A JWK set on one line, from a file or from stdin.
Result<std::string> read_jwks(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path);
  std::istream& in = path == "-" ? std::cin : file;
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (text.empty() || text.size() > kJwksBytesMax) {
    return Error{Code::InvalidArgument,
                 "--jwks " + path + " can't be read, is empty or longer than 64 KiB"};
  }
  boost::system::error_code status;
  const json::value value = json::parse(text, status);
  if (status) return Error{Code::InvalidArgument, "--jwks " + path + " is no JSON"};
  return json::serialize(value);
}

int set_issuer(const IssuerArguments& arguments) {
  JsonObject body;
  if (arguments.jwks_url.empty() && arguments.jwks_file.empty()) {
    return report({Code::InvalidArgument, "name its keys: --jwks FILE or --jwks-url URL"});
  }
  if (arguments.jwks_url.empty()) {
    auto jwks = read_jwks(arguments.jwks_file);
    if (!jwks) return report(jwks.error());
    body.add("jwks", *jwks);
  } else {
    body.add("jwks_url", arguments.jwks_url);
  }
  body.add("issuer", arguments.issuer)
      .add("audience", arguments.audience)
      .add("algorithms", arguments.algorithms)
      .add("tenant_claim", arguments.tenant_claim)
      .add("tenant", arguments.tenant)
      .add("clock_skew_s", arguments.clock_skew_s)
      .add("requests_per_minute", arguments.requests_per_minute)
      .add("tokens_per_minute", arguments.tokens_per_minute);
  return run_change(arguments, {"PUT", arguments.path(), body.take()},
                    "Tokens of " + arguments.issuer + " are taken at every site.");
}

// Its keys alone: what changes when it rolls them over.
int replace_keys(const IssuerArguments& arguments) {
  auto jwks = read_jwks(arguments.jwks_file);
  if (!jwks) return report(jwks.error());
  auto stored = call_control(arguments, {"GET", arguments.path(), ""});
  if (!stored) return report(stored.error());
  if (const std::string url = text_field(*stored, "jwks_url"); !url.empty()) {
    return report({Code::FailedPrecondition, "the keys of " + arguments.name +
                                                 " are fetched from " + url +
                                                 ": perigee issuers refresh " + arguments.name +
                                                 ", or `set` it with --jwks"});
  }
  json::object body = stored->as_object();
  body.erase("name");
  body.erase("revision");
  body["jwks"] = *jwks;
  return run_change(arguments, {"PUT", arguments.path(), json::serialize(body)},
                    "The keys of " + arguments.name + " are replaced.");
}

// "brought", "fetched 2026-08-01 12:00", "fetched never: WHY".
std::string keys_of(const json::value& issuer) {
  if (text_field(issuer, "jwks_url").empty()) return "brought";
  const std::string why = text_field(issuer, "keys_error");
  return "fetched " + format_time(number_field(issuer, "keys_fetched_us")) +
         (why.empty() ? "" : ": " + why);
}

void show_issuers(const json::value& answer) {
  Table table{{{"NAME"}, {"ISSUER"}, {"AUDIENCE"}, {"ALGORITHMS"}, {"TENANT"}, {"KEYS"}}};
  for (const json::value& issuer : list_field(answer, "data")) {
    std::string algorithms;
    for (const json::value& name : list_field(issuer, "algorithms")) {
      if (!name.is_string()) continue;
      algorithms += (algorithms.empty() ? "" : ", ") + std::string{name.get_string()};
    }
    const std::string claim = text_field(issuer, "tenant_claim");
    table.add({text_field(issuer, "name"), text_field(issuer, "issuer"),
               text_field(issuer, "audience"), algorithms,
               claim.empty() ? text_field(issuer, "tenant") : "claim " + claim, keys_of(issuer)});
  }
  print(table);
}

void add_set_command(CLI::App& issuers, const std::shared_ptr<IssuerArguments>& arguments,
                     int& exit_code) {
  CLI::App* set =
      add_admin_command(issuers, "set", "Take the tokens of an issuer, or change how", *arguments);
  set->add_option("NAME", arguments->name, "Its name in this grid")->required();
  set->add_option("--issuer", arguments->issuer, "What `iss` must be, to the letter")->required();
  set->add_option("--audience", arguments->audience, "What `aud` must be, or hold")->required();
  set->add_option("--algorithm", arguments->algorithms, "RS256, ES256 or EdDSA; repeat for several")
      ->allow_extra_args(false)
      ->required();
  auto* file = set->add_option("--jwks", arguments->jwks_file,
                               "Its public keys: a JWK set in a file; - is stdin");
  set->add_option("--jwks-url", arguments->jwks_url,
                  "Or where control fetches them, now and every 15 minutes: https://...")
      ->excludes(file);
  auto* claim =
      set->add_option("--tenant-claim", arguments->tenant_claim, "The claim that names the tenant");
  set->add_option("--tenant", arguments->tenant, "Or the tenant of all its tokens")
      ->excludes(claim);
  set->add_option("--clock-skew", arguments->clock_skew_s, "Seconds between its clock and ours")
      ->capture_default_str();
  set->add_option("--requests-per-minute", arguments->requests_per_minute, "Of each subject");
  set->add_option("--tokens-per-minute", arguments->tokens_per_minute, "Of each subject");
  set->callback([arguments, &exit_code] { exit_code = set_issuer(*arguments); });
}

}  // namespace

void add_issuers_command(CLI::App& app, int& exit_code) {
  CLI::App* issuers =
      app.add_subcommand("issuers", "Whose tokens (OpenID Connect, JWT) are taken like keys");
  issuers->require_subcommand(1);
  auto arguments = std::make_shared<IssuerArguments>();
  add_set_command(*issuers, arguments, exit_code);
  CLI::App* keys =
      add_admin_command(*issuers, "keys", "Replace an issuer's public keys", *arguments);
  keys->add_option("NAME", arguments->name, "Its name in this grid")->required();
  keys->add_option("--jwks", arguments->jwks_file, "A JWK set in a file; - is stdin")->required();
  keys->callback([arguments, &exit_code] { exit_code = replace_keys(*arguments); });
  CLI::App* refresh = add_admin_command(
      *issuers, "refresh", "Fetch an issuer's keys now, where it has a URL", *arguments);
  refresh->add_option("NAME", arguments->name, "Its name in this grid")->required();
  refresh->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"POST", arguments->path() + "/refresh", ""},
                           "The keys of " + arguments->name + " are as it publishes them.");
  });
  CLI::App* list = add_admin_command(*issuers, "list", "List issuers", *arguments);
  list->callback([arguments, &exit_code] {
    exit_code = run_admin(*arguments, {"GET", "issuers", ""}, show_issuers);
  });
  CLI::App* remove =
      add_admin_command(*issuers, "remove", "Refuse its tokens from now on", *arguments);
  remove->add_option("NAME", arguments->name, "Its name in this grid")->required();
  remove->callback([arguments, &exit_code] {
    exit_code = run_change(*arguments, {"DELETE", arguments->path(), ""},
                           "Removed " + arguments->name + ".");
  });
  issuers->footer(
      "Examples:\n"
      "  perigee issuers set corp --issuer https://id.example/realm --audience perigee \\\n"
      "    --algorithm ES256 --tenant-claim org --jwks keys.json\n"
      "  curl -s https://id.example/realm/keys | perigee issuers keys corp --jwks -\n"
      "  perigee issuers set corp --issuer https://id.example/realm --audience perigee \\\n"
      "    --algorithm ES256 --tenant-claim org --jwks-url https://id.example/realm/keys");
}

}  // namespace perigee::cli
