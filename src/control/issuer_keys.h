// IssuerKeys: keeps the keys of those issuers that name a `jwks_url` as new as the issuer publishes
// them. A fetch that fails changes nothing: the keys that are there go on to count. All that are
// due are fetched side by side, each issuer's once at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "control/control_api.h"
#include "control/directory_table.h"
#include "control/jwks_client.h"
#include "net/task.h"

namespace perigee::control {

inline constexpr Duration kJwksRefresh = seconds{900};
inline constexpr Duration kJwksRetry = seconds{60};  // after a failure, or the interval if shorter

// On the IO thread.
class IssuerKeys {
 public:
  // All that it is given must outlive it.
  IssuerKeys(Executor executor, const Clock& clock, DirectoryTable& table, ControlApi& api,
             std::unique_ptr<JwksClient> client, Duration interval);
  ~IssuerKeys();
  IssuerKeys(const IssuerKeys&) = delete;
  IssuerKeys& operator=(const IssuerKeys&) = delete;

  // From now on keys are fetched, at once and then every interval.
  void start();
  // A PUT of an issuer, or the call to refresh one: fetches first where there is a URL, so that
  // whoever asks is told what is wrong with it. Whether it is permitted is looked at again once the
  // keys are there. FailedPrecondition: the URL was changed meanwhile. The views of `request` must
  // outlive it.
  Task<Result<ApiAnswer>> answer(ApiRequest request, ControlApi::Permitted permitted);
  // Of issuers with a URL.
  const std::map<std::string, IssuerKeysState>& states() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // the loop holds it, too
};

}  // namespace perigee::control
