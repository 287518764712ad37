// Blocking HTTP for subcommands: one request at a time, from the thread that calls. A daemon never
// uses this; it has an executor of its own.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "net/tls.h"

namespace perigee::cli {

// Whom to call and with which credential. `url` is "http://HOST:PORT[/base]" or
// "unix:PATH"; `origin` says where
// it was found ("--url", "PERIGEE_URL", "the running demo"), for error messages.
struct Target {
  std::string url;
  std::string key;  // empty: none is sent
  std::string origin;
  bool control = false;  // it must be control: over https its certificate is looked at
  // What https is called with; null: as tls_trust.h says.
  std::shared_ptr<net::TlsClientSource> tls = nullptr;
};

struct Call {
  std::string_view method = "GET";
  std::string path;  // "/v1/models?x=y", appended to the target's base path
  std::string body;  // sent as application/json when not empty
  std::vector<std::pair<std::string, std::string>> headers;
  Duration timeout = seconds{30};  // for the head, and between two reads of the body
};

struct Answer {
  int status = 0;
  std::string body;        // empty when streamed
  std::string site;        // perigee-site
  std::string route;       // perigee-route
  std::string request_id;  // x-request-id
};

class HttpCaller {
 public:
  HttpCaller();
  ~HttpCaller();
  // Any status is an answer. Unavailable (with advice: is it running?), DeadlineExceeded, Protocol.
  Result<Answer> call(const Target& target, const Call& call);
  // The same, but hands a 2xx body over piece by piece as it arrives; `piece` returns false to stop
  // (the connection is closed, which cancels the work). Other statuses have their body in Answer.
  Result<Answer> stream(const Target& target, const Call& call,
                        const std::function<bool(std::string_view)>& piece);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One request whose answer must be JSON: an error status becomes the Error of its body (OpenAI's
// {"error":{...}} and problem+json's {"detail"|"title"} are read).
Result<boost::json::value> call_json(HttpCaller& caller, const Target& target, const Call& call);

}  // namespace perigee::cli
