#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "control/grid_authority.h"
#include "control/member_files.h"
#include "pki/certificate_check.h"
#include "site/config.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct InitArguments {
  std::string state_dir;
  std::string grid;
};

struct StatusArguments {
  std::string config = "site.toml";
  std::string control_dir;
  OutputFormat format = OutputFormat::Table;
};

// One certificate that this machine holds, and how it stands.
struct Held {
  std::string use;  // "member", "public", "authority"
  std::string file;
  pki::Certificate certificate;
  std::string trouble;  // empty: good
};

std::string fingerprint(const pki::Certificate& certificate) {
  const std::string bytes = certificate.sha256();
  return to_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

int init(const InitArguments& arguments) {
  const SystemClock clock;
  auto made = control::init_authority(arguments.state_dir, arguments.grid, clock.wall());
  if (!made) return report(made.error());
  print(fmt::format("Grid {} has its authority: {}/ca.pem, until {}.\nSHA-256 {}\n", arguments.grid,
                    arguments.state_dir, pki::to_text(made->not_after()), fingerprint(*made)));
  print_note(fmt::format(
      "Keep {0}/ca.key: who has it can make members of this grid. Back it up offline.\n"
      "Next: perigee control --state-dir {0} --grid {1}; tools: PERIGEE_CA_FILE={0}/ca.pem",
      arguments.state_dir, arguments.grid));
  return kExitOk;
}

std::string date_trouble(const pki::Certificate& certificate, WallTime now) {
  if (certificate.not_after() <= now) return "expired";
  if (now < certificate.not_before()) return "not valid yet";
  return {};
}

Result<std::vector<Held>> held_by_site(const StatusArguments& arguments, WallTime now) {
  const auto variable = [](const std::string& name) {
    return environment(name.c_str()).value_or("");
  };
  PERIGEE_TRY(config, load_site_config(arguments.config, variable));
  const SiteTls& tls = config.tls;
  std::vector<Held> all;
  if (tls.member()) {
    PERIGEE_TRY(identity, control::load_member({tls.certificate, tls.key, tls.authorities}));
    const auto valid = control::still_valid(identity, now);
    std::string trouble = valid ? std::string{} : valid.error().message;
    if (trouble.empty() && tls.renew && control::renewal_of(identity.certificate) < now) {
      trouble = "should have been renewed: look at the site's log";
    }
    all.push_back({"member", tls.certificate, identity.certificate, trouble});
    PERIGEE_TRY(authorities, pki::certificates_from_pem(identity.tls.authorities_pem));
    for (const pki::Certificate& each : authorities) {
      all.push_back({"authority", tls.authorities, each, date_trouble(each, now)});
    }
  }
  if (!tls.public_certificate.empty()) {
    PERIGEE_TRY(pem, control::read_pem_file(tls.public_certificate));
    PERIGEE_TRY(chain, pki::certificates_from_pem(pem));
    all.push_back(
        {"public", tls.public_certificate, chain.front(), date_trouble(chain.front(), now)});
  }
  return all;
}

Result<std::vector<Held>> held_by_control(const std::string& folder, WallTime now) {
  const std::string file = folder + "/ca.pem";
  PERIGEE_TRY(pem, control::read_pem_file(file));
  PERIGEE_TRY(chain, pki::certificates_from_pem(pem));
  return std::vector<Held>{{"authority", file, chain.front(), date_trouble(chain.front(), now)}};
}

json::object json_of(const Held& held) {
  const pki::Certificate& certificate = held.certificate;
  json::object object;
  object["use"] = held.use;
  object["file"] = held.file;
  object["id"] = certificate.spiffe_id();
  object["subject"] = certificate.subject();
  object["issuer"] = certificate.issuer();
  object["serial"] = certificate.serial();
  object["sha256"] = fingerprint(certificate);
  json::array names;
  for (const std::string& name : certificate.names()) names.emplace_back(name);
  object["names"] = std::move(names);
  object["not_before"] = pki::to_text(certificate.not_before());
  object["not_after"] = pki::to_text(certificate.not_after());
  if (held.use == "member") {
    object["renewal"] = pki::to_text(control::renewal_of(certificate));
  }
  object["good"] = held.trouble.empty();
  if (!held.trouble.empty()) object["trouble"] = held.trouble;
  return object;
}

void show(const std::vector<Held>& all, OutputFormat format) {
  if (format == OutputFormat::Json) {
    json::array list;
    for (const Held& held : all) list.push_back(json_of(held));
    json::object object;
    object["certificates"] = std::move(list);
    print(json::value(std::move(object)));
    return;
  }
  Table table{{{"USE"}, {"NAME"}, {"UNTIL"}, {"RENEWAL"}, {"STATE"}}};
  for (const Held& held : all) {
    const pki::Certificate& certificate = held.certificate;
    const bool member = held.use == "member";
    table.add({held.use,
               certificate.spiffe_id().empty() ? certificate.subject() : certificate.spiffe_id(),
               pki::to_text(certificate.not_after()),
               member ? pki::to_text(control::renewal_of(certificate)) : std::string{"-"},
               held.trouble.empty() ? Cell{"good", Tone::Good} : Cell{held.trouble, Tone::Bad}});
  }
  print(table);
}

int status(const StatusArguments& arguments) {
  const SystemClock clock;
  const WallTime now = clock.wall();
  auto all = arguments.control_dir.empty() ? held_by_site(arguments, now)
                                           : held_by_control(arguments.control_dir, now);
  if (!all) return report(all.error());
  if (all->empty()) {
    print_note("No certificates are configured: [tls] of " + arguments.config + " is empty.");
    return kExitOk;
  }
  show(*all, arguments.format);
  for (const Held& held : *all) {
    if (!held.trouble.empty()) return kExitDegraded;
  }
  return kExitOk;
}

}  // namespace

void add_ca_command(CLI::App& app, int& exit_code) {
  CLI::App* authority = app.add_subcommand("ca", "The grid's certificate authority");
  authority->require_subcommand(1);
  auto arguments = std::make_shared<InitArguments>();
  CLI::App* command = authority->add_subcommand(
      "init", "Make it, once: from then on control gives certificates to sites");
  command->add_option("--state-dir", arguments->state_dir, "Control's; made if missing")
      ->required();
  command->add_option("--grid", arguments->grid, "Name of the grid: every certificate says it")
      ->required();
  command->footer("Example:\n  perigee ca init --state-dir /var/lib/perigee/control --grid acme");
  command->callback([arguments, &exit_code] { exit_code = init(*arguments); });
}

void add_cert_command(CLI::App& app, int& exit_code) {
  CLI::App* certificates = app.add_subcommand("cert", "Certificates on this machine");
  certificates->require_subcommand(1);
  auto arguments = std::make_shared<StatusArguments>();
  CLI::App* command = certificates->add_subcommand(
      "status", "Whose they are, until when, and whether they are good");
  CLI::Option* config = command->add_option("--config", arguments->config, "The site's TOML file")
                            ->capture_default_str();
  command->add_option("--control-dir", arguments->control_dir, "Control's state folder instead")
      ->excludes(config);
  add_output_option(*command, arguments->format);
  command->footer(
      "Exit status 3: one is not good.\n"
      "Examples:\n"
      "  perigee cert status --config /etc/perigee/site.toml\n"
      "  perigee cert status --control-dir /var/lib/perigee/control -o json");
  command->callback([arguments, &exit_code] { exit_code = status(*arguments); });
}

}  // namespace perigee::cli
