#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/id.h"
#include "base/private_file.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/http_call.h"
#include "cli/join_code.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/site_daemon.h"
#include "cli/site_facts.h"
#include "control/member_files.h"
#include "net/endpoint.h"
#include "pki/authority.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct JoinArguments {
  std::string token;
  std::string control_url;
  std::string name;
  SiteFacts facts;
  std::string listen;
  std::string state_dir;
  std::string models_dir = "models";
  std::string ca_sha256;
  bool replace = false;
  bool run = false;  // the daemon, once joined
  OutputFormat format = OutputFormat::Table;

  std::string key_file() const { return state_dir + "/site.key"; }
  std::string config_file() const { return state_dir + "/site.toml"; }
  control::MemberFiles member() const { return control::member_files_in(state_dir); }
};

// A TOML basic string.
std::string toml_quote(const std::string& text) { return json_quote(text); }

// Control's URL for a member: with a certificate everything is TLS.
std::string url_for_member(std::string url) {
  constexpr std::string_view kPlain = "http://";
  if (url.starts_with(kPlain)) url.replace(0, kPlain.size(), "https://");
  return url;
}

std::string site_config(const JoinArguments& arguments, bool with_certificate) {
  const std::string tls =
      "\n"
      "[tls]\n"
      "certificate = \"tls/certificate.pem\"\n"
      "key = \"tls/key.pem\"\n"
      "authorities = \"tls/authorities.pem\"\n";
  return fmt::format(
      "# Written by `perigee site join`. All keys: docs/site_config.md\n"
      "[site]\n"
      "name = {}\n"
      "listen = {}\n"
      "state_dir = \".\"\n"
      "models_dir = {}\n"
      "jurisdiction = {}\n"
      "\n"
      "[control]\n"
      "url = {}\n"
      "key_file = \"site.key\"\n"
      "{}",
      toml_quote(arguments.name), toml_quote(arguments.listen),
      toml_quote(std::filesystem::absolute(arguments.models_dir).string()),
      toml_quote(arguments.facts.jurisdiction),
      toml_quote(with_certificate ? url_for_member(arguments.control_url) : arguments.control_url),
      with_certificate ? tls : std::string{});
}

// The key is made here and never leaves this machine.
Result<pki::KeyPair> own_key(const JoinArguments& arguments) {
  PERIGEE_CHECK(make_private_folder(arguments.state_dir + "/tls"));
  pki::KeyPair key = pki::KeyPair::generate();
  PERIGEE_CHECK(replace_private_file(arguments.member().key + ".new", key.to_pem()));
  return key;
}

// Over https: control is known by its authority's hash, which the operator gave with the token.
Result<std::shared_ptr<net::TlsClientSource>> trust(const JoinArguments& arguments) {
  if (arguments.ca_sha256.empty()) return std::shared_ptr<net::TlsClientSource>{};
  Sha256 pin{};
  if (!from_hex(arguments.ca_sha256, pin)) {
    return Error{Code::InvalidArgument,
                 "--ca-sha256 must be 64 hex digits: leave it out where the token says it"};
  }
  net::TlsClientOptions options;
  options.only_those = true;
  options.pinned_authority.assign(reinterpret_cast<const char*>(pin.data()), pin.size());
  PERIGEE_TRY(client, net::TlsClient::make(options));
  return std::make_shared<net::TlsClientSource>(client);
}

Error missing(std::string_view option) {
  return Error{Code::InvalidArgument,
               fmt::format("{} is missing, and the token does not say it either", option)};
}

Result<> check_complete(const JoinArguments& arguments) {
  if (arguments.control_url.empty()) return missing("--control URL");
  if (arguments.name.empty()) return missing("--name");
  if (arguments.facts.url.empty())
    return missing("--url, where peers and clients reach this site,");
  if (arguments.facts.tier.empty()) return missing("--tier");
  if (arguments.facts.jurisdiction.empty()) return missing("--jurisdiction");
  if (!arguments.facts.latitude) return missing("--latitude");
  if (!arguments.facts.longitude) return missing("--longitude");
  if (valid_name(arguments.name)) return {};
  return Error{Code::InvalidArgument, "--name is no name of a site"};
}

// Options win over what came with the token.
Result<> take_code(JoinArguments& arguments) {
  if (arguments.token == "-") std::getline(std::cin, arguments.token);
  PERIGEE_TRY(code, parse_join_code(arguments.token));
  arguments.token = code.token;
  if (arguments.control_url.empty()) arguments.control_url = code.control_url;
  if (arguments.ca_sha256.empty()) arguments.ca_sha256 = code.ca_sha256;
  if (arguments.name.empty()) arguments.name = code.name;
  complete(arguments.facts, code.facts);
  if (arguments.state_dir.empty()) arguments.state_dir = arguments.name;
  return check_complete(arguments);
}

// Whatever can fail here must fail before the token is used up.
Result<> prepare(JoinArguments& arguments) {
  PERIGEE_CHECK(take_code(arguments));
  PERIGEE_TRY(url, net::parse_url(arguments.facts.url));
  if (arguments.listen.empty()) arguments.listen = url.endpoint.to_string();
  PERIGEE_CHECK(make_private_folder(arguments.state_dir));
  if (!arguments.replace && std::filesystem::exists(arguments.key_file())) {
    return Error{Code::AlreadyExists,
                 fmt::format("{} exists: this site has joined already. Run it by perigee site "
                             "--config {}; --replace takes a new key, --state-dir another folder",
                             arguments.key_file(), arguments.config_file())};
  }
  return {};
}

Result<json::value> exchange_token(const JoinArguments& arguments) {
  PERIGEE_TRY(tls, trust(arguments));
  PERIGEE_TRY(key, own_key(arguments));
  JsonObject body = site_facts(arguments.facts);
  body.add("token", arguments.token).add("name", arguments.name);
  body.add("certificate_request", pki::make_certificate_request(key, arguments.name));
  HttpCaller caller;
  Target target;
  target.url = arguments.control_url;
  target.origin = "--control";
  target.control = true;
  target.tls = tls;
  Call call;
  call.method = "POST";
  call.path = "/control/v1/join";
  call.body = body.take();
  return call_json(caller, target, call);
}

Result<bool> write_files(const JoinArguments& arguments, const json::value& answer) {
  PERIGEE_CHECK(replace_private_file(arguments.key_file(), text_field(answer, "key") + "\n"));
  const std::string chain = text_field(answer, "certificate");
  const control::MemberFiles files = arguments.member();
  std::error_code moved;
  std::filesystem::rename(files.key + ".new", files.key, moved);
  if (moved) return Error{Code::FailedPrecondition, files.key + ": " + moved.message()};
  if (!chain.empty()) {
    PERIGEE_CHECK(replace_private_file(files.certificate, chain));
    PERIGEE_CHECK(replace_private_file(files.authorities, text_field(answer, "authorities")));
    PERIGEE_CHECK(control::load_member(files));
  }
  const auto written =
      create_private_file(arguments.config_file(), site_config(arguments, !chain.empty()));
  if (!written && written.error().code != Code::AlreadyExists) return written.error();
  return written.has_value();
}

void show(const JoinArguments& arguments, const json::value& answer, bool fresh_config) {
  if (arguments.format == OutputFormat::Json) {
    json::object joined;
    joined["site"] = arguments.name;
    joined["grid"] = text_field(answer, "grid");
    joined["key_file"] = arguments.key_file();
    joined["config"] = arguments.config_file();
    joined["config_written"] = fresh_config;
    print(json::value(std::move(joined)));  // braces would make an array
    return;
  }
  print(fmt::format("{} is part of grid {}.\n", arguments.name, text_field(answer, "grid")));
  if (!fresh_config) {
    print(fmt::format("{} was there already and is left as it is.\n", arguments.config_file()));
  }
  if (!arguments.run)
    print(fmt::format("Next: perigee site --config {}\n", arguments.config_file()));
}

int join(JoinArguments& arguments) {
  if (auto prepared = prepare(arguments); !prepared) return report(prepared.error());
  auto answer = exchange_token(arguments);
  if (!answer) return report(answer.error());
  auto fresh_config = write_files(arguments, *answer);
  if (!fresh_config) return report(fresh_config.error());
  show(arguments, *answer, *fresh_config);
  return arguments.run ? run_site_daemon(arguments.config_file()) : kExitOk;
}

}  // namespace

void add_site_join_command(CLI::App& site, int& exit_code) {
  auto arguments = std::make_shared<JoinArguments>();
  CLI::App* command =
      site.add_subcommand("join", "Make this machine a site: token in, key and site.toml out");
  command->add_option("TOKEN", arguments->token, "From `perigee site token`; - reads it from stdin")
      ->required();
  command->add_option("--control", arguments->control_url, "Control's URL");
  command->add_option("--name", arguments->name, "The name that the token was made for");
  add_site_facts(*command, arguments->facts, FactsNeed::AsKnown);
  command->add_option("--listen", arguments->listen, "Address to listen on; default: as in --url");
  command->add_option("--state-dir", arguments->state_dir,
                      "Folder for the site's files, made if missing; default: its name");
  command->add_option("--models-dir", arguments->models_dir, "Folder of model files")
      ->capture_default_str();
  command->add_option("--ca-sha256", arguments->ca_sha256,
                      "Of the grid's authority; default: as the token says, else PERIGEE_CA_FILE");
  command->add_flag("--replace", arguments->replace, "Replace the key of an earlier join");
  command->add_flag("--run", arguments->run, "Once joined, run the site's daemon here");
  add_output_option(*command, arguments->format);
  command->footer(
      "What the token says (perigee site token) need not be said again; an option wins over it.\n"
      "Examples:\n"
      "  perigee site join pgj_... --url https://metro-leipzig.example:8100 --run\n"
      "  perigee site join pgj_... --url https://metro-leipzig.example:8100 \\\n"
      "      --listen 0.0.0.0:8100 --state-dir /var/lib/perigee/site --models-dir /srv/models");
  command->callback([arguments, &exit_code] { exit_code = join(*arguments); });
}

}  // namespace perigee::cli
