// ControlServer: the directory over HTTP (docs/control_api.md): the calls of ControlApi, and the
// watch that sites follow.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/audit_log.h"
#include "control/directory_table.h"
#include "control/grid_authority.h"
#include "control/issuer_keys.h"
#include "identity/scrape_check.h"
#include "ledger/sqlite/usage_store.h"
#include "net/endpoint.h"
#include "net/task.h"
#include "net/tls.h"

namespace perigee::control {

struct ControlServerOptions {
  Duration heartbeat = seconds{5};
  std::size_t watchers_max = 20'000;
};

struct ControlServerState;

// On the IO thread, as the table is from now on. Destroying it ends the watches.
class ControlServer {
 public:
  // `clock` must outlive the server and the handlers that still run after it.
  ControlServer(Executor executor, const Clock& clock, std::unique_ptr<DirectoryTable> table,
                ControlServerOptions options = {});
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Takes the usage records that sites deliver from now on; without it they are told 404 and keep
  // theirs. Before listen().
  void keep_usage(std::unique_ptr<UsageStore> store);

  // Every change is written there first. Before listen().
  void keep_audit(std::unique_ptr<AuditLog> audit);

  // Fetches the keys of issuers that have a URL, now and every `interval`. Before listen(), after
  // keep_audit().
  void keep_issuer_keys(std::unique_ptr<JwksClient> client, Duration interval = kJwksRefresh);

  // Who may read GET /metrics; operators until then. Before listen().
  void let_scrape(ScrapeCheck scrape);

  // From now on sites are given certificates when they join, and must show them. Control shows one
  // of its own, for `hosts`, and renews it by itself. Before listen().
  Result<> keep_authority(std::unique_ptr<GridAuthority> authority, std::vector<std::string> hosts);
  // Sites must show certificates of this grid, which others make. Before listen().
  void require_members(const std::string& grid);
  // What new connections are shown; again with a fresh one. Plain HTTP is then for loopback only.
  void use_tls(std::shared_ptr<const net::TlsServer> tls);

  // FailedPrecondition unless the address is on loopback or `tls`: to know it before anything is
  // opened.
  static Result<> check_address(const net::Endpoint& endpoint, bool tls);
  // FailedPrecondition: not loopback and no TLS, or in use.
  Result<net::Endpoint> listen(const net::Endpoint& endpoint);
  // Ends the watches, lets calls end for at most `grace`.
  Task<void> shut_down(Duration grace);
  DirectoryTable& table();

 private:
  std::shared_ptr<ControlServerState> state_;
};

}  // namespace perigee::control
