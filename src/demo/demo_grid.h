// DemoGrid: the processes of a demo: one `perigee control` and a `perigee site` per planned site
// (which start their own engines), with the relay between them. It starts them together, waits
// until the grid answers everywhere, and takes them down.
//
// One IO thread; that thread must live as long as the grid, because the kernel kills the processes
// when it dies (net/child_process.h): also when the demo itself is killed with SIGKILL.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "demo/demo_plan.h"
#include "demo/grid_client.h"
#include "demo/relay.h"
#include "net/task.h"

namespace perigee::demo {

struct DemoOptions {
  std::size_t sites = kSitesDefault;
  std::uint64_t seed = 1;
  std::uint16_t ports = 0;    // control listens here, the sites on those that follow; 0: any
  std::string model_file;     // a GGUF file; sites name it kDemoModel
  std::string program;        // the perigee binary
  std::string temp = "/tmp";  // the state folder is made in here
  bool tls = false;           // between sites and control; clients on this machine may do without
  bool keep_folder = false;   // stop() leaves the state folder to the caller
  // More of the environment ("NAME=value") of the sites: `site_environment(name, its folder)`.
  std::function<std::vector<std::string>(const SiteId&, const std::string&)> site_environment;
};

inline constexpr const char* kDemoModel = "perigee-demo";
inline constexpr Duration kStartMax =
    seconds{60};  // then something is wrong, and start() says what
// Between SIGTERM and SIGKILL of one site: above its limits.stop_grace_ms.
inline constexpr Duration kEndAskedMax = seconds{130};
// Sites reach control through the relay too, over a link of this name without delay.
inline constexpr const char* kControlLink = "control";

// A site as it stands now.
struct DemoSiteView {
  const PlannedSite* plan = nullptr;
  std::string url;
  int pid = 0;  // 0: down
};

class DemoGrid {
 public:
  // `clock` must outlive the grid. `tell` gets one line of progress or news at a time; it is also
  // told of sites that end by themselves.
  DemoGrid(Executor executor, const Clock& clock, DemoOptions options,
           std::function<void(const std::string&)> tell);
  ~DemoGrid();  // kills what still runs
  DemoGrid(const DemoGrid&) = delete;
  DemoGrid& operator=(const DemoGrid&) = delete;

  // Returns when every site answers for the model. On failure the error says which process failed
  // and shows the end of its log; the state folder is kept. Cancelled after cancel().
  Task<Result<>> start();
  // Asks all processes to end, waits a bounded time, kills the rest, removes the state folder.
  Task<> stop();
  void cancel();  // makes a start() that is under way return soon

  // SIGKILL, its engines too. NotFound, FailedPrecondition (is down already).
  Result<> kill(const SiteId& site);
  // SIGTERM; returns when it has ended. NotFound, FailedPrecondition (is down already),
  // DeadlineExceeded (did not end within kEndAskedMax: killed).
  Task<Result<>> end(SiteId site);
  // Returns when the site is ready. NotFound, FailedPrecondition (runs already).
  Task<Result<>> restart(SiteId site);
  // The same for control.
  Result<> kill_control();
  Task<Result<>> restart_control();

  Relay& relay();
  GridClient& client();
  std::vector<DemoSiteView> sites() const;
  Result<DemoSiteView> site(const SiteId& name) const;  // NotFound names the sites there are
  const std::string& key() const;                       // the tenant's API key
  const std::string& folder() const;                    // one folder per process is in it
  int control_pid() const;                              // 0: down
  // What the state file says (docs/demo.md), but for `socket`.
  boost::json::object state() const;
  // Calls `changed` whenever state() has changed.
  void watch(std::function<void()> changed);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perigee::demo
