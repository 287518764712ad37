// Site: the daemon of one site, and its composition root. Builds every part by hand in readable
// order, owns the one IO thread, and knows the order of shutting down.
#pragma once

#include <memory>

#include "base/result.h"
#include "site/config.h"

namespace perigee {

class Site {
 public:
  // Nothing happens before start(). `program` is the perigee binary, to start engines.
  Site(SiteConfig config, std::string program);
  ~Site();
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  // Opens the ledger, loads the last directory snapshot, listens. Errors say what to do.
  Result<> start();
  // Serves until SIGTERM or SIGINT, then lets running requests end for a bounded time. Returns the
  // exit status.
  int run();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace perigee
