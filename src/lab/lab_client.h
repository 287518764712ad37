// LabClient: the clients of a lab: they send its requests to ingress sites as any OpenAI client
// would, so many at once, and keep what came back.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "lab/lab_answer.h"
#include "lab/lab_requests.h"
#include "net/http_client.h"
#include "net/task.h"

namespace perigee::lab {

// An ingress site as clients know it.
struct LabIngress {
  SiteId name;
  std::string url;
};

struct LabClientOptions {
  std::vector<LabIngress> ingress;  // request i asks at i modulo their number; not empty
  std::string key;                  // the tenant's API key
  std::string run;                  // part of each request's id, so that two runs differ
  std::uint32_t at_once = 16;
  double rate = 0;
  bool move_on = false;
};

// On one IO thread; `clock` must outlive it.
class LabClient {
 public:
  LabClient(Executor executor, const Clock& clock, LabClientOptions options);

  // Sends all `requests` (which must outlive the call) and waits for all answers; the answers stand
  // in their requests' order. `progress` is called after each answer.
  Task<std::vector<LabAnswer>> run(std::span<const LabRequest> requests,
                                   std::function<void(std::size_t)> progress);
  // Streams and calls that are open now.
  std::size_t open() const { return open_; }
  // Starts no more requests; run() returns when the open ones have ended.
  void stop_early() { stopped_ = true; }

 private:
  struct Load;
  Task<> work(std::shared_ptr<Load> load);
  Task<> wait_for_turn(const Load& load, std::size_t number);
  Task<LabAnswer> ask(const LabRequest& request);
  Task<Result<>> ask_at(const LabIngress& ingress, const LabRequest& request, LabAnswer& answer);
  Task<Result<>> read(const LabRequest& request, net::ClientResponse response, LabAnswer& answer);

  Executor executor_;
  const Clock& clock_;
  LabClientOptions options_;
  net::HttpClient client_;
  std::size_t open_ = 0;
  bool stopped_ = false;
};

}  // namespace perigee::lab
