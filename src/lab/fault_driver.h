// FaultDriver: brings the faults of a time line (docs/faults.md) about on the real processes and
// links of a demo grid, and mends them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "demo/demo_grid.h"
#include "fault/fault_timeline.h"
#include "lab/lab_plan.h"
#include "lab/process_probe.h"
#include "net/notifier.h"
#include "net/task.h"

namespace perigee::lab {

// One fault that was brought about, or why it was not.
struct FaultEvent {
  Fault fault;
  Instant began{};
  std::optional<Instant> mended;
  std::string passed_over;  // why it was not brought about; empty: it was
  // Of a cut: so long after it was mended all sites saw as many peers up, and control, as before.
  std::optional<Duration> routed_again = {};
};

struct FaultDriverOptions {
  // A kill or stop that would leave one of `ingress` fewer sites to send to, whose engine is ready
  // and whose link is not cut, is passed over: with no site left there is nothing to promise.
  std::uint32_t serving_sites_min = 2;
  std::vector<SiteId> ingress;
  // Moves the calendar clock of a site's process; see clock_shift.h.
  std::function<Result<>(const SiteId& site, double seconds)> shift_clock;
};

// On one IO thread. How each kind is done:
//   kill          SIGKILL; a site is started again when the fault ends, an engine by its site
//   stop          SIGSTOP to the site and its engines, or to the engine; SIGCONT
//   slow          a link: the relay; engines: stopped and continued in turn
//   cut, corrupt  the relay; "*" includes the way to control
//   disk_full     RLIMIT_FSIZE 0: every write to a file fails, as on a full disk, but with EFBIG
//   clock_jump    options.shift_clock
//   control_down  SIGKILL; started again when the fault ends
// A restart is a SIGTERM; the site is started again once it has ended. The next one waits until the
// site is ready.
class FaultDriver {
 public:
  // `clock` and `grid` must outlive it; finish() must have returned before it goes.
  FaultDriver(Executor executor, const Clock& clock, demo::DemoGrid& grid,
              FaultDriverOptions options);

  // Begins the time line now. Both are in the order of their beginnings. Once.
  void start(std::vector<Fault> faults, std::vector<RestartSpec> restarts);
  // Brings no more faults about, mends what is broken, and returns when all is whole again:
  // Unavailable when a site or control did not come back.
  Task<Result<>> finish();
  const std::vector<FaultEvent>& events() const { return events_; }
  std::size_t restarts() const { return restarts_; }

 private:
  struct LinkHolds {  // by all faults of one direction that are on
    int cut = 0;
    double added_ms = 0;
    double share = 0;
  };
  Task<> conduct(std::vector<Fault> faults);
  Task<> conduct_restarts(std::vector<RestartSpec> restarts);
  Task<> run_fault(std::size_t index);
  Task<> bring_about(const Fault& fault);
  Task<> pause_until(Instant due);
  Task<> hold(const Fault& fault);
  void spawn(Task<> task);

  std::string reason_to_pass_over(const Fault& fault) const;
  Task<bool> leaves_enough(const Fault& fault);
  bool reaches(const SiteId& from, const SiteId& to) const;
  int pid_of(const std::string& site) const;
  std::vector<ProcessHandle> engines_of(const Fault& fault) const;
  std::vector<demo::LinkName> links_of(const Fault& fault) const;

  Task<> kill(const Fault& fault);
  Task<> stop(const Fault& fault);
  Task<> slow_engines(const Fault& fault);
  Task<> break_links(const Fault& fault);
  Task<> watch_routing(std::size_t index, std::size_t links_before);
  Task<std::size_t> links_up();
  Task<> fill_disk(const Fault& fault);
  Task<> jump_clock(const Fault& fault);
  Task<> restart(RestartSpec restart);
  Task<> take_control_down(const Fault& fault);
  void hold_link(const demo::LinkName& link, const Fault& fault, int sign);
  void note_failure(const Result<>& result);

  Executor executor_;
  const Clock& clock_;
  demo::DemoGrid& grid_;
  FaultDriverOptions options_;
  Instant began_{};
  bool finishing_ = false;
  std::size_t running_ = 0;  // coroutines
  net::Notifier ended_;
  std::vector<FaultEvent> events_;
  std::map<std::string, int> busy_;  // sites that are down, stopped or being started by a fault
  std::map<demo::LinkName, LinkHolds> links_;
  std::size_t restarts_ = 0;
  std::string failure_;
};

}  // namespace perigee::lab
