// ControlClient: calls of the control API (docs/control_api.md) from an IO thread.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "directory/records.h"
#include "net/endpoint.h"
#include "net/http_client.h"
#include "net/task.h"

namespace perigee::control {

// One call's parts; owned, since a coroutine keeps them.
struct ControlCall {
  std::string method = "GET";
  std::string path;      // "/control/v1/sites/metro-berlin", names percent-encoded
  std::string body;      // JSON, or empty
  std::string if_match;  // a row's revision, or empty
};

// On the IO thread. Must outlive its calls.
class ControlClient {
 public:
  // `key` may be empty (joining needs none). `clock` must outlive the client. `tls` is for https.
  ControlClient(Executor executor, const Clock& clock, net::Url url, std::string key,
                std::shared_ptr<net::TlsClientSource> tls = nullptr);
  // The answer's JSON text. An error status becomes the Error of its body; Unavailable when control
  // can't be reached. `abort` ends it early (net/http_client.h).
  Task<Result<std::string>> call(ControlCall call, net::Abort* abort = nullptr);
  // Opens the watch behind `from`; read it as an event stream.
  Task<Result<net::ClientResponse>> watch(std::uint64_t from, std::string epoch,
                                          net::Abort* abort = nullptr);

 private:
  net::Url url_;
  std::string authorization_;
  net::HttpClient http_;
};

// Control's URL as a member of `grid` calls it: over https it must show control's certificate. With
// an empty `grid` (this process is no member) its host name counts.
Result<net::Url> control_url(const std::string& url, const std::string& grid);

// `name` for use in a path.
std::string percent_encode(std::string_view name);

}  // namespace perigee::control
