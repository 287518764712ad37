#include "lab/fault_driver.h"
#include "net/vital_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <exception>
#include <utility>

namespace perigee::lab {
namespace {

constexpr Duration kLook = milliseconds{100};  // how late finish() is noticed
constexpr Duration kRun = milliseconds{10};    // a slowed engine runs so long at a time
constexpr Duration kRoutingLook = milliseconds{20};
constexpr Duration kRoutingMax = seconds{30};
constexpr const char* kEngineWord = "engine";  // of its command line

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

bool takes_a_site_away(const Fault& fault) {
  return fault.kind == FaultKind::Kill || fault.kind == FaultKind::Stop;
}

}  // namespace

FaultDriver::FaultDriver(Executor executor, const Clock& clock, demo::DemoGrid& grid,
                         FaultDriverOptions options)
    : executor_(executor),
      clock_(clock),
      grid_(grid),
      options_(std::move(options)),
      ended_(executor) {}

void FaultDriver::start(std::vector<Fault> faults, std::vector<RestartSpec> restarts) {
  began_ = clock_.now();
  spawn(conduct(std::move(faults)));
  spawn(conduct_restarts(std::move(restarts)));
}

void FaultDriver::spawn(Task<> task) {
  ++running_;
  asio::co_spawn(executor_, std::move(task), [this](const std::exception_ptr& thrown) {
    net::VitalTask{"a lab's faults"}(thrown);
    --running_;
    ended_.notify();
  });
}

Task<Result<>> FaultDriver::finish() {
  finishing_ = true;
  while (running_ > 0) co_await ended_.wait();
  if (failure_.empty()) co_return Result<>{};
  co_return Error{Code::Unavailable, failure_};
}

Task<> FaultDriver::conduct(std::vector<Fault> faults) {
  for (Fault& fault : faults) {
    const Instant due = began_ + from_ms(fault.at_s * 1000);
    co_await pause_until(due);
    std::string passed_over = reason_to_pass_over(fault);
    if (passed_over.empty()) {
      const bool enough = co_await leaves_enough(fault);
      passed_over = enough ? reason_to_pass_over(fault) : "too few others serve";
    }
    if (finishing_) co_return;
    events_.push_back({std::move(fault), clock_.now(), std::nullopt, std::move(passed_over)});
    if (events_.back().passed_over.empty()) spawn(run_fault(events_.size() - 1));
  }
}

Task<> FaultDriver::pause_until(Instant due) {
  for (Instant now = clock_.now(); !finishing_ && now < due; now = clock_.now()) {
    Timer timer{executor_};
    timer.expires_after(std::min<Duration>(due - now, kLook));
    co_await timer.async_wait(kAwait);
  }
}

// To the fault's end, or that of the time line.
Task<> FaultDriver::hold(const Fault& fault) {
  constexpr double kForever_s = 1e8;
  const double until_s = std::min(fault.end_s, kForever_s);
  co_await pause_until(began_ + from_ms(until_s * 1000));
}

Task<> FaultDriver::run_fault(std::size_t index) {
  const Fault fault = events_[index].fault;
  const bool cuts = fault.kind == FaultKind::Cut || fault.kind == FaultKind::CutOneWay;
  std::size_t links_before = 0;
  if (cuts) links_before = co_await links_up();
  co_await bring_about(fault);
  events_[index].mended = clock_.now();
  if (cuts) co_await watch_routing(index, links_before);
}

// Links that work, as all sites together see it.
Task<std::size_t> FaultDriver::links_up() {
  std::size_t up = 0;
  for (const demo::DemoSiteView& site : grid_.sites()) {
    if (site.pid == 0) continue;
    const std::size_t of_site = co_await grid_.client().links_up(site.url);
    up += of_site;
  }
  co_return up;
}

// Other faults may be on: then it is not as before, and nothing is said of it.
Task<> FaultDriver::watch_routing(std::size_t index, std::size_t links_before) {
  const Instant mended = *events_[index].mended;
  while (clock_.now() - mended < kRoutingMax) {
    const std::size_t up = co_await links_up();
    const Instant now = clock_.now();
    if (up >= links_before) {
      events_[index].routed_again = now - mended;
      co_return;
    }
    Timer timer{executor_};
    timer.expires_after(kRoutingLook);
    co_await timer.async_wait(kAwait);
  }
}

Task<> FaultDriver::bring_about(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::Kill: return kill(fault);
    case FaultKind::Stop: return stop(fault);
    case FaultKind::Slow: return fault.link ? break_links(fault) : slow_engines(fault);
    case FaultKind::Cut:
    case FaultKind::CutOneWay:
    case FaultKind::Corrupt: return break_links(fault);
    case FaultKind::DiskFull: return fill_disk(fault);
    case FaultKind::ClockJump: return jump_clock(fault);
    case FaultKind::ControlDown: return take_control_down(fault);
    case FaultKind::Mute: break;  // parse_lab() refuses it
  }
  return hold(fault);
}

std::string FaultDriver::reason_to_pass_over(const Fault& fault) const {
  if (fault.kind == FaultKind::ControlDown) {
    return grid_.control_pid() == 0 ? "control is down already" : "";
  }
  if (fault.link) return {};
  if (pid_of(fault.site) == 0 || busy_.contains(fault.site)) return "the site is down already";
  const bool of_engine = fault.engine.has_value() || fault.kind == FaultKind::Slow;
  if (of_engine && engines_of(fault).empty()) return "the engine is down already";
  return {};
}

int FaultDriver::pid_of(const std::string& site) const {
  const auto view = grid_.site(SiteId{site});
  return view ? view->pid : 0;
}

// Without the site that the fault takes away, or the engine's.
Task<bool> FaultDriver::leaves_enough(const Fault& fault) {
  if (!takes_a_site_away(fault)) co_return true;
  std::vector<std::size_t> left(options_.ingress.size());
  for (const demo::DemoSiteView& site : grid_.sites()) {
    const SiteId& name = site.plan->name;
    if (site.plan->slots == 0) continue;
    if (name.str() == fault.site || site.pid == 0 || busy_.contains(name.str())) continue;
    const bool serves = co_await grid_.client().has_ready_engine(site.url);
    for (std::size_t i = 0; serves && i < left.size(); ++i) {
      if (reaches(options_.ingress[i], name)) ++left[i];
    }
  }
  co_return std::ranges::all_of(
      left, [this](std::size_t count) { return count >= options_.serving_sites_min; });
}

bool FaultDriver::reaches(const SiteId& from, const SiteId& to) const {
  const auto open = [this](const SiteId& a, const SiteId& b) {
    const auto link = links_.find({a, b});
    return link == links_.end() || link->second.cut == 0;
  };
  return from == to || (open(from, to) && open(to, from));
}

// The one that it names, or all of the site.
std::vector<ProcessHandle> FaultDriver::engines_of(const Fault& fault) const {
  std::vector<ProcessHandle> handles;
  const std::vector<int> pids = children_of(pid_of(fault.site), kEngineWord);
  for (std::size_t i = 0; i < pids.size(); ++i) {
    if (fault.engine && *fault.engine != i) continue;
    if (auto handle = ProcessHandle::open(pids[i])) handles.push_back(std::move(*handle));
  }
  return handles;
}

Task<> FaultDriver::kill(const Fault& fault) {
  if (fault.engine) {
    for (const ProcessHandle& engine : engines_of(fault)) engine.send(SIGKILL);
    co_return;  // its site starts it again
  }
  ++busy_[fault.site];
  note_failure(grid_.kill(SiteId{fault.site}));
  co_await hold(fault);
  auto started = co_await grid_.restart(SiteId{fault.site});
  note_failure(started);
  busy_.erase(fault.site);
}

Task<> FaultDriver::conduct_restarts(std::vector<RestartSpec> restarts) {
  for (RestartSpec& restart_next : restarts) {
    const Instant due = began_ + from_ms(restart_next.at_s * 1000);
    co_await pause_until(due);
    if (finishing_) co_return;
    co_await restart(std::move(restart_next));
  }
}

Task<> FaultDriver::restart(RestartSpec restart) {
  const std::string name = restart.site.str();
  if (busy_.contains(name)) co_return;
  ++busy_[name];
  auto ended = co_await grid_.end(restart.site);
  note_failure(ended);
  auto started = co_await grid_.restart(restart.site);
  note_failure(started);
  busy_.erase(name);
  ++restarts_;
}

Task<> FaultDriver::stop(const Fault& fault) {
  std::vector<ProcessHandle> stopped = engines_of(fault);
  if (!fault.engine) {
    if (auto site = ProcessHandle::open(pid_of(fault.site))) stopped.push_back(std::move(*site));
  }
  ++busy_[fault.site];
  for (const ProcessHandle& process : stopped) process.send(SIGSTOP);
  co_await hold(fault);
  for (const ProcessHandle& process : stopped) process.send(SIGCONT);
  busy_.erase(fault.site);
}

Task<> FaultDriver::slow_engines(const Fault& fault) {
  const Instant end = began_ + from_ms(std::min(fault.end_s, 1e8) * 1000);
  const Duration stopped = from_ms(to_ms(kRun) * (fault.factor - 1));
  while (!finishing_ && clock_.now() < end) {
    const std::vector<ProcessHandle> engines = engines_of(fault);
    for (const ProcessHandle& engine : engines) engine.send(SIGSTOP);
    co_await pause_until(clock_.now() + stopped);
    for (const ProcessHandle& engine : engines) engine.send(SIGCONT);
    co_await pause_until(clock_.now() + kRun);
  }
}

std::vector<demo::LinkName> FaultDriver::links_of(const Fault& fault) const {
  const SiteId from{fault.site};
  std::vector<SiteId> others;
  if (!fault.other.empty()) {
    others.emplace_back(fault.other);
  } else {
    for (const auto& site : grid_.sites()) {
      if (site.plan->name != from) others.push_back(site.plan->name);
    }
    others.emplace_back(demo::kControlLink);
  }
  std::vector<demo::LinkName> links;
  for (const SiteId& other : others) {
    links.push_back({from, other});
    if (fault.kind != FaultKind::CutOneWay) links.push_back({other, from});
  }
  return links;
}

void FaultDriver::hold_link(const demo::LinkName& link, const Fault& fault, int sign) {
  LinkHolds& holds = links_[link];
  switch (fault.kind) {
    case FaultKind::Slow: holds.added_ms += sign * fault.added_ms / 2; break;
    case FaultKind::Corrupt: holds.share = std::max(0.0, holds.share + sign * fault.share); break;
    default: holds.cut += sign; break;
  }
  demo::Relay& relay = grid_.relay();
  note_failure(holds.cut > 0 ? relay.cut(link) : relay.heal(link));
  note_failure(relay.slow(link, from_ms(std::max(0.0, holds.added_ms))));
  note_failure(relay.corrupt(link, std::min(1.0, holds.share)));
}

Task<> FaultDriver::break_links(const Fault& fault) {
  const std::vector<demo::LinkName> links = links_of(fault);
  for (const demo::LinkName& link : links) hold_link(link, fault, 1);
  co_await hold(fault);
  for (const demo::LinkName& link : links) hold_link(link, fault, -1);
}

Task<> FaultDriver::fill_disk(const Fault& fault) {
  const auto site = ProcessHandle::open(pid_of(fault.site));
  if (!site || !site->limit_files(0)) {
    note_failure(Error{Code::Unavailable, fault.site + ": its files could not be limited"});
    co_return;
  }
  co_await hold(fault);
  site->limit_files(std::nullopt);
}

Task<> FaultDriver::jump_clock(const Fault& fault) {
  note_failure(options_.shift_clock(SiteId{fault.site}, fault.jump_s));
  co_await hold(fault);
  note_failure(options_.shift_clock(SiteId{fault.site}, 0));
}

Task<> FaultDriver::take_control_down(const Fault& fault) {
  note_failure(grid_.kill_control());
  co_await hold(fault);
  auto started = co_await grid_.restart_control();
  note_failure(started);
}

void FaultDriver::note_failure(const Result<>& result) {
  if (!result && failure_.empty()) failure_ = result.error().message;
}

}  // namespace perigee::lab
