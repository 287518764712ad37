#include "cli/site_daemon.h"

#include "base/log.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "identity/scrape_check.h"
#include "net/child_process.h"
#include "site/process_setup.h"
#include "site/site.h"

namespace perigee::cli {
namespace {

std::string variable(const std::string& name) { return environment(name.c_str()).value_or(""); }

}  // namespace

int run_site_daemon(const std::string& config_file) {
  auto config = load_site_config(config_file, variable);
  if (!config) return report(config.error());
  log::configure(config->log_level, config->log_format, config->name.str());
  Site site{std::move(*config), net::own_program_path()};
  if (auto started = site.start(); !started) return report(started.error());
  const int status = site.run();
  log::flush();
  return status;
}

int check_site_config(const std::string& config_file) {
  const auto config = load_site_config(config_file, variable);
  if (!config) return report(config.error());
  const auto scrape = ScrapeCheck::make(config->listen.is_loopback(), config->metrics_token_file);
  if (!scrape) return report(scrape.error());
  if (const auto key = read_key(config->key_file); !key) return report(key.error());
  print(config_file + ": good\n");
  return kExitOk;
}

}  // namespace perigee::cli
