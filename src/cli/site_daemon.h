// Runs the daemon of a site in this process.
#pragma once

#include <string>

namespace perigee::cli {

// Until a signal ends it; returns the exit status. A file that is wrong is reported.
int run_site_daemon(const std::string& config_file);
// Says whether the file is good; returns the exit status.
int check_site_config(const std::string& config_file);

}  // namespace perigee::cli
