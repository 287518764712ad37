// JwksClient: fetches the public keys of an issuer of tokens from where it publishes them (RFC
// 7517). Control alone does: sites get the keys with the directory, need no internet and wait for
// no provider.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/endpoint.h"
#include "net/http_client.h"
#include "net/task.h"

namespace perigee::control {

inline constexpr std::size_t kJwksFetchedBytesMax = 64 * 1024;
inline constexpr Duration kJwksFetchTimeout = seconds{10};  // of all of it

// What may be fetched: https, or http on loopback. InvalidArgument, `param` "jwks_url".
Result<net::Url> parse_jwks_url(const std::string& text);
// The set on one line, with those members of its keys that verifying needs: certificates, which
// make sets of some providers long, are left out. InvalidArgument: no set that can be used.
Result<std::string> reduced_jwks(std::string_view text);

// On the IO thread.
class JwksClient {
 public:
  // `authorities_pem`: whose certificates are believed beside the system's; empty: none. `clock`
  // must outlive this. InvalidArgument: they are none.
  static Result<std::unique_ptr<JwksClient>> make(Executor executor, const Clock& clock,
                                                  const std::string& authorities_pem);
  // The set as reduced_jwks(). Follows no redirects. FailedPrecondition with `param` "jwks_url"
  // says why there is none, in one line. This must outlive it.
  Task<Result<std::string>> fetch(std::string url);

 private:
  JwksClient(Executor executor, const Clock& clock, std::shared_ptr<net::TlsClientSource> tls);
  Executor executor_;
  net::HttpClient http_;
};

}  // namespace perigee::control
