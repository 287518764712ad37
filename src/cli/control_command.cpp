#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/private_file.h"
#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "control/audit_log.h"
#include "control/control_server.h"
#include "control/jwks_client.h"
#include "control/operator_key.h"
#include "directory/sqlite/sqlite_directory.h"
#include "identity/scrape_check.h"
#include "ledger/sqlite/usage_store.h"
#include "net/endpoint.h"
#include "net/vital_task.h"

namespace perigee::cli {
namespace {

constexpr Duration kShutDownGrace = seconds{5};

struct ControlArguments {
  std::string listen = "127.0.0.1:7000";
  std::string state_dir;
  std::string grid;
  std::vector<std::string> hosts;
  std::string certificate_lifetime = "7d";
  std::string metrics_token_file;
  std::string jwks_ca_file;
  std::string jwks_refresh = "15m";
  std::string log_level = "info";
  std::string log_format = "text";
  bool restored = false;
};

Result<> configure_log(const ControlArguments& arguments) {
  log::Level level = log::Level::Info;
  if (!log::parse_level(arguments.log_level, level)) {
    return Error{Code::InvalidArgument, "--log-level must be debug, info, warning, error or off"};
  }
  log::configure(level, arguments.log_format == "json" ? log::Format::Json : log::Format::Text,
                 "control");
  return {};
}

// What tools may call control by.
std::vector<std::string> hosts_of(const ControlArguments& arguments,
                                  const net::Endpoint& endpoint) {
  std::vector<std::string> hosts = arguments.hosts;
  for (const char* always : {"localhost", "127.0.0.1", "::1"}) hosts.emplace_back(always);
  if (!endpoint.is_unix() && std::ranges::find(hosts, endpoint.host) == hosts.end()) {
    hosts.push_back(endpoint.host);
  }
  return hosts;
}

// What the directory must be of: certificates name the grid, too. Empty: whatever it is of.
Result<std::string> wanted_grid(const ControlArguments& arguments,
                                const control::GridAuthority* authority) {
  if (authority == nullptr) return arguments.grid;
  if (arguments.grid.empty() || arguments.grid == authority->grid()) return authority->grid();
  return Error{Code::FailedPrecondition,
               "the authority in " + arguments.state_dir + " is of grid " + authority->grid() +
                   ", not " + arguments.grid +
                   ": use another --state-dir, or leave --grid out if the directory there is of " +
                   authority->grid() + ", too"};
}

constexpr std::size_t kCaFileBytesMax = 256 * 1024;

Result<> fetch_issuer_keys(asio::io_context& io, const Clock& clock,
                           const ControlArguments& arguments, control::ControlServer& server) {
  PERIGEE_TRY(interval, parse_seconds(arguments.jwks_refresh, "--jwks-refresh"));
  if (interval < 10) return Error{Code::InvalidArgument, "--jwks-refresh must be 10s or more"};
  std::string authorities;
  if (!arguments.jwks_ca_file.empty()) {
    PERIGEE_TRY(pem, read_private_file(arguments.jwks_ca_file, kCaFileBytesMax));
    authorities = std::move(pem);
  }
  auto client = control::JwksClient::make(io.get_executor(), clock, authorities);
  if (!client) {
    return Error{Code::FailedPrecondition, "--jwks-ca-file: " + client.error().message};
  }
  server.keep_issuer_keys(std::move(*client), seconds{interval});
  return {};
}

// `lock` must outlive the server.
Result<std::unique_ptr<control::ControlServer>> make_server(asio::io_context& io,
                                                            const Clock& clock,
                                                            const ControlArguments& arguments,
                                                            std::optional<FolderLock>& lock) {
  PERIGEE_TRY(endpoint, net::parse_endpoint(arguments.listen));
  PERIGEE_TRY(scrape, ScrapeCheck::make(endpoint.is_loopback(), arguments.metrics_token_file));
  PERIGEE_TRY(lifetime, parse_seconds(arguments.certificate_lifetime, "--certificate-lifetime"));
  PERIGEE_TRY(authority,
              control::GridAuthority::open(arguments.state_dir, clock, seconds{lifetime}));
  PERIGEE_TRY(grid, wanted_grid(arguments, authority.get()));
  PERIGEE_CHECK(control::ControlServer::check_address(endpoint, authority != nullptr));
  PERIGEE_CHECK(make_private_folder(arguments.state_dir));
  PERIGEE_TRY(held, FolderLock::lock(arguments.state_dir));
  lock.emplace(std::move(held));
  PERIGEE_TRY(directory, SqliteDirectory::open(arguments.state_dir + "/directory.db"));
  PERIGEE_TRY(audit, control::AuditLog::open(arguments.state_dir + "/audit.log"));
  PERIGEE_TRY(table, control::DirectoryTable::load(std::move(directory), clock, grid,
                                                   arguments.restored, audit.get()));
  PERIGEE_CHECK(control::ensure_operator_key(*table, clock, arguments.state_dir + "/operator.key",
                                             audit.get()));
  auto server =
      std::make_unique<control::ControlServer>(io.get_executor(), clock, std::move(table));
  server->let_scrape(std::move(scrape));
  server->keep_audit(std::move(audit));
  PERIGEE_CHECK(fetch_issuer_keys(io, clock, arguments, *server));
  const bool secure = authority != nullptr;
  if (secure) {
    PERIGEE_CHECK(server->keep_authority(std::move(authority), hosts_of(arguments, endpoint)));
  }
  PERIGEE_TRY(usage, UsageStore::open(arguments.state_dir + "/usage.db"));
  server->keep_usage(std::move(usage));
  PERIGEE_TRY(bound, server->listen(endpoint));
  log::info("control is listening", {{"url", (secure ? "https://" : "http://") + bound.to_string()},
                                     {"grid", server->table().snapshot().grid},
                                     {"revision", server->table().snapshot().revision}});
  return server;
}

int run_control(const ControlArguments& arguments) {
  if (auto configured = configure_log(arguments); !configured) return report(configured.error());
  const SystemClock clock;
  asio::io_context io{1};
  std::optional<FolderLock> lock;
  auto server = make_server(io, clock, arguments, lock);
  if (!server) {
    log::flush();
    return report(server.error());
  }
  asio::signal_set signals{io, SIGINT, SIGTERM};
  signals.async_wait([&io, &server](const boost::system::error_code& status, int signal) {
    if (status) return;
    log::info("control is stopping", {{"signal", signal}});
    asio::co_spawn(io, (*server)->shut_down(kShutDownGrace),
                   [&io](const std::exception_ptr& thrown) {
                     net::VitalTask{"stopping control"}(thrown);
                     io.stop();
                   });
  });
  io.run();
  log::flush();
  return kExitOk;
}

}  // namespace

void add_control_command(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("control", "Serve the directory: sites, models, tenants, keys");
  auto arguments = std::make_shared<ControlArguments>();
  command
      ->add_option("--listen", arguments->listen,
                   "Address; beyond loopback with an authority (perigee ca init)")
      ->capture_default_str();
  command
      ->add_option("--state-dir", arguments->state_dir,
                   "Folder for the directory and the first operator key; made if missing")
      ->required();
  command->add_option("--grid", arguments->grid,
                      "Name of the grid, for the first start without an authority, which has one");
  command->add_flag(
      "--restored", arguments->restored,
      "Once, after restoring a backup: sites take this older directory as it is, also "
      "keys that were revoked after it");
  command
      ->add_option("--host", arguments->hosts,
                   "A name or address that tools call control by; repeat for several")
      ->allow_extra_args(false);
  command
      ->add_option("--certificate-lifetime", arguments->certificate_lifetime,
                   "Of the certificates that are made here; renewed at half of it")
      ->capture_default_str();
  command->add_option("--jwks-ca-file", arguments->jwks_ca_file,
                      "Authorities (PEM) believed beside the system's where issuers' keys are "
                      "fetched");
  command
      ->add_option("--jwks-refresh", arguments->jwks_refresh, "How often issuers' keys are fetched")
      ->capture_default_str();
  command->add_option("--metrics-token-file", arguments->metrics_token_file,
                      "Holds a token that may read /metrics; beyond loopback operators' keys may, "
                      "too");
  command->add_option("--log-level", arguments->log_level, "debug, info, warning, error or off")
      ->capture_default_str();
  command->add_option("--log-format", arguments->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  perigee ca init --state-dir /var/lib/perigee --grid north     (once: then all is TLS)\n"
      "  perigee control --state-dir /var/lib/perigee --grid north\n"
      "  perigee control --listen 127.0.0.1:7001 --state-dir ./state --log-level debug");
  command->callback([arguments, &exit_code] { exit_code = run_control(*arguments); });
}

}  // namespace perigee::cli
