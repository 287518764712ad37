// IdentityKeeper: keeps what a process shows over TLS fresh. It reads the files, reads them again
// when they change on the disk, and has the member's certificate renewed at half of its life.
// Whatever goes wrong, what was good goes on being shown, and the log says why; a public pair that
// can't be used does not keep the member's next certificate from being used.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/member_files.h"
#include "net/task.h"
#include "net/tls.h"

namespace perigee::control {

struct Renewed {
  std::string chain_pem;
  std::string authorities_pem;
};

struct IdentityOptions {
  std::optional<MemberFiles> member;
  // What clients are shown instead of the member's certificate; both or none.
  std::string public_certificate;
  std::string public_key;
  Duration look = seconds{1};  // at the files
  // Asks for a certificate for the request (PEM); empty: another PKI replaces the files.
  std::function<Task<Result<Renewed>>(std::string request_pem)> renew;
};

class ControlClient;
// POST /control/v1/renew. `client` must outlive it.
Task<Result<Renewed>> renew_over(ControlClient& client, std::string request_pem);

// On the IO thread. Destroying it stops it; `on_change` is not called after.
class IdentityKeeper {
 public:
  // `clock` must outlive the event loop's last handler.
  IdentityKeeper(Executor executor, const Clock& clock, IdentityOptions options);
  ~IdentityKeeper();
  IdentityKeeper(const IdentityKeeper&) = delete;
  IdentityKeeper& operator=(const IdentityKeeper&) = delete;

  // Reads the files; errors name the file. Nothing configured: does nothing.
  Result<> load();
  // From now on looks at them; calls `on_change` after each change that is good.
  void watch(std::function<void()> on_change);

  // Null when nothing is configured.
  std::shared_ptr<const net::TlsServer> server() const;
  // Never null: without a member's certificate it believes the system's authorities.
  const std::shared_ptr<net::TlsClientSource>& client() const;
  const std::optional<MemberIdentity>& member() const;
  std::string grid() const;  // empty: no member

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace perigee::control
