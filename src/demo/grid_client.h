// GridClient: how the demo and its tour talk to the grid's processes over HTTP.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client.h"
#include "net/task.h"

namespace perigee::demo {

struct GridCall {
  std::string url;  // "http://127.0.0.1:7000"
  std::string key;  // empty: none is sent
  std::string method = "GET";
  std::string path;
  std::string body;  // JSON
  std::vector<std::pair<std::string, std::string>> headers;
};

// One question and what its answer took, as a client sees it.
struct Question {
  std::string url;
  std::string key;
  std::string model;
  std::string text;
  std::string jurisdictions;  // "de,fr"; empty: any
};
struct AnswerReport {
  std::string site;    // where it ran
  std::string reason;  // why there: perigee-route
  std::string text;
  double ttft_ms = 0;   // from sending the request to the first text
  double total_ms = 0;  // to the end
  std::uint32_t tokens = 0;
};

class GridClient {
 public:
  // `clock` must outlive the client.
  GridClient(Executor executor, const Clock& clock);
  // An error status comes back as the Error of its body. null for an empty body.
  Task<Result<boost::json::value>> call(GridCall call);
  // True when GET /readyz answers 200.
  Task<bool> ready(std::string url);
  // True when GET /metrics tells of an engine of its own that is ready.
  Task<bool> has_ready_engine(std::string url);
  // Links that work as the site sees it: peers that are up, and control. 0: it does not answer.
  Task<std::size_t> links_up(std::string url);
  Task<Result<AnswerReport>> ask(Question question);

 private:
  const Clock& clock_;
  net::HttpClient client_;
};

}  // namespace perigee::demo
