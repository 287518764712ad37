// Connection: how a subcommand finds its grid. A flag wins, then the environment, then the running
// demo's state file (docs/demo.md). Secrets come by file or environment, never on a command line,
// where every user of the machine could read them.
//
//   what            flag                      environment                      demo.json
//   a site's URL    --url URL                 PERIGEE_URL                      first live site
//   tenant key      --key-file FILE           PERIGEE_KEY, PERIGEE_KEY_FILE    key
//   control's URL   --control URL             PERIGEE_CONTROL_URL              control.url
//   operator key    --operator-key-file FILE  PERIGEE_OPERATOR_KEY_FILE        control's key file
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/http_call.h"

namespace perigee::cli {

// The running demo, as its state file tells.
struct DemoSite {
  std::string name;
  std::string url;
  std::string tier;
  std::string city;
  std::string jurisdiction;
  int pid = 0;  // 0: not running now
};
struct DemoState {
  int pid = 0;
  std::string control_url;
  std::string operator_key_file;
  std::string ca_file;  // of its authority; empty: it runs without TLS
  std::string socket;   // where the demo takes orders (docs/demo.md)
  std::string key;
  std::string model;
  std::vector<DemoSite> sites;
};

// nullopt when no demo runs (no file, or its process is gone). FailedPrecondition when the file is
// not this user's or can't be read.
Result<std::optional<DemoState>> read_demo_state();

struct SiteOptions {
  std::string url;
  std::string name;  // of the running demo's
  std::string key_file;
};
// `--url`, `--site`, `--key-file`. `options` must outlive the parse.
void add_site_options(CLI::App& app, SiteOptions& options);

struct ControlOptions {
  std::string url;
  std::string key_file;
};
// `--control`, `--operator-key-file`. `options` must outlive the parse.
void add_control_options(CLI::App& app, ControlOptions& options);

// A site with a tenant key. FailedPrecondition says how to name one when none is found.
Result<Target> find_site(const SiteOptions& options);
// Control with the operator key. FailedPrecondition says how to name it when it is not found.
Result<Target> find_control(const ControlOptions& options);

// The key in a file: its first line, without blanks. NotFound, InvalidArgument (empty, too long).
Result<std::string> read_key_file(const std::string& path);

}  // namespace perigee::cli
