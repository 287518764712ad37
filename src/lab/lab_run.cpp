#include "lab/lab_run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "lab/clock_shift.h"
#include "lab/fault_driver.h"
#include "lab/lab_checks.h"
#include "lab/lab_client.h"

namespace perigee::lab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShim = "libperigee_clock_shim.so";  // beside the program
constexpr std::size_t kTellEvery = 100;                    // answers, texts

}  // namespace

void prepare_process() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGXFSZ, SIG_IGN);
}

struct LabRun::State {
  State(Executor io, const Clock& time, LabPlan what, LabOptions how,
        std::function<void(const std::string&)> teller)
      : executor(io),
        clock(time),
        plan(std::move(what)),
        options(std::move(how)),
        tell(std::move(teller)) {}
  ~State() {
    grid.reset();
    std::error_code ignored;
    if (!folder.empty() && !options.keep_folder) fs::remove_all(folder, ignored);
  }

  demo::DemoOptions demo_options();
  std::vector<std::string> environment_of(const SiteId& site, const std::string& own_folder);
  Task<Result<>> start_grid();
  Task<std::vector<LabAnswer>> load(std::string run);
  Task<> break_and_load();
  Task<Result<LabReport>> close();
  std::map<std::string, int> processes() const;
  void read_ledgers(LabEvidence& evidence) const;
  void measure(std::vector<Survivor>& survivors, bool before) const;

  Executor executor;
  const Clock& clock;
  LabPlan plan;
  LabOptions options;
  std::function<void(const std::string&)> tell;
  std::string folder;
  std::map<SiteId, std::unique_ptr<ClockShift>> clocks;
  std::optional<Error> clock_failure;
  std::unique_ptr<demo::DemoGrid> grid;
  std::unique_ptr<FaultDriver> driver;
  std::vector<LabRequest> requests;
  std::vector<LabAnswer> undisturbed;
  std::vector<LabAnswer> answers;
  std::map<std::string, int> pids;  // as the load with faults began
  std::vector<Survivor> survivors;
  std::string not_mended;
  double load_s = 0;
};

// Made for a site as it is started, where its folder is known.
std::vector<std::string> LabRun::State::environment_of(const SiteId& site,
                                                       const std::string& own_folder) {
  auto& shift = clocks[site];
  if (shift == nullptr) {
    const std::string shim = (fs::path{options.program}.parent_path() / kShim).string();
    auto made = ClockShift::create(own_folder + "/clock", shim);
    if (!made) {
      clock_failure = made.error();
      return {};
    }
    shift = std::move(*made);
  }
  return shift->environment();
}

demo::DemoOptions LabRun::State::demo_options() {
  demo::DemoOptions demo;
  demo.sites = plan.sites;
  demo.seed = plan.seed;
  demo.model_file = options.model_file;
  demo.program = options.program;
  demo.temp = options.temp;
  demo.keep_folder = true;
  const bool shifts = std::ranges::any_of(
      plan.faults, [](const FaultRule& rule) { return rule.first.kind == FaultKind::ClockJump; });
  if (shifts) {
    demo.site_environment = [this](const SiteId& site, const std::string& own_folder) {
      return environment_of(site, own_folder);
    };
  }
  return demo;
}

Task<Result<>> LabRun::State::start_grid() {
  grid = std::make_unique<demo::DemoGrid>(executor, clock, demo_options(), tell);
  auto started = co_await grid->start();
  folder = grid->folder();
  if (clock_failure) co_return std::move(*clock_failure);
  co_return started;
}

Task<std::vector<LabAnswer>> LabRun::State::load(std::string run) {
  LabClientOptions client;
  for (const SiteId& name : plan.workload.ingress) {
    const auto site = grid->site(name);
    client.ingress.push_back({name, site ? site->url : ""});
  }
  client.key = grid->key();
  client.run = run;
  client.at_once = plan.workload.at_once;
  client.rate = plan.workload.rate;
  client.move_on = plan.workload.move_on;
  LabClient clients{executor, clock, std::move(client)};
  const std::size_t all = requests.size();
  std::function<void(std::size_t)> progress = [this, all, run](std::size_t done) {
    if (done % kTellEvery == 0) tell(fmt::format("{}: {} of {} answers", run, done, all));
  };
  co_return co_await clients.run(requests, std::move(progress));
}

std::map<std::string, int> LabRun::State::processes() const {
  std::map<std::string, int> found{{"control", grid->control_pid()}};
  for (const auto& site : grid->sites()) found[site.plan->name.str()] = site.pid;
  return found;
}

// Before: all processes; after: those of them that are still the same.
void LabRun::State::measure(std::vector<Survivor>& all, bool before) const {
  if (before) {
    for (const auto& [name, pid] : processes()) {
      if (const auto size = size_of(pid)) all.push_back({name, *size, *size});
    }
    return;
  }
  const auto now = processes();
  std::erase_if(all, [&](Survivor& survivor) {
    const int pid = now.at(survivor.name);
    const auto size = pid == pids.at(survivor.name) ? size_of(pid) : std::nullopt;
    if (size) survivor.after = *size;
    return !size;
  });
}

Task<> LabRun::State::break_and_load() {
  FaultDriverOptions how;
  how.serving_sites_min = plan.serving_sites_min;
  how.ingress = plan.workload.ingress;
  how.shift_clock = [this](const SiteId& site, double seconds) -> Result<> {
    const auto found = clocks.find(site);
    if (found == clocks.end() || !found->second) {
      return Error{Code::NotFound, site.str() + " has no clock to shift"};
    }
    found->second->set(seconds);
    return {};
  };
  driver = std::make_unique<FaultDriver>(executor, clock, *grid, std::move(how));
  pids = processes();
  measure(survivors, true);
  const Instant began = clock.now();
  driver->start(fault_timeline(plan.faults, plan.seed), plan.restarts);
  answers = co_await load("faults");
  load_s = to_seconds(clock.now() - began);
  tell("all answers are in; mending what is broken");
  auto mended = co_await driver->finish();
  if (!mended) not_mended = mended.error().message;
  measure(survivors, false);
}

void LabRun::State::read_ledgers(LabEvidence& evidence) const {
  for (const auto& site : grid->sites()) {
    const std::string path = folder + "/" + site.plan->name.str() + "/usage.db";
    auto usage = read_ledger(path);
    if (!usage) {
      evidence.usage_faults.push_back(usage.error().message);
      continue;
    }
    std::ranges::move(*usage, std::back_inserter(evidence.usage));
  }
}

Task<Result<LabReport>> LabRun::State::close() {
  co_await grid->stop();
  LabEvidence evidence{.plan = plan,
                       .requests = requests,
                       .answers = answers,
                       .undisturbed = undisturbed,
                       .faults = driver->events(),
                       .restarts = driver->restarts(),
                       .not_mended = not_mended,
                       .usage = {},
                       .usage_faults = {},
                       .survivors = survivors,
                       .left_behind = processes_naming(folder)};
  read_ledgers(evidence);
  tell("the grid is down; checking every text against the model");
  PERIGEE_CO_TRY(checker, TextChecker::create(options.model_file, demo::kDemoModel,
                                              plan.checks.logit_tolerance));
  const std::function<void(std::size_t, std::size_t)> progress = [this](std::size_t done,
                                                                        std::size_t all) {
    if (done % kTellEvery == 0) tell(fmt::format("{} of {} texts checked", done, all));
  };
  LabReport report = judge(evidence, *checker, progress);
  report.figures.load_s = load_s;
  co_return report;
}

LabRun::LabRun(Executor executor, const Clock& clock, LabPlan plan, LabOptions options,
               std::function<void(const std::string&)> tell)
    : state_(std::make_unique<State>(executor, clock, std::move(plan), std::move(options),
                                     std::move(tell))) {}

LabRun::~LabRun() = default;

Task<Result<LabReport>> LabRun::run() {
  State& lab = *state_;
  auto started = co_await lab.start_grid();
  if (!started) {
    co_await lab.grid->stop();
    co_return std::move(started).error();
  }
  lab.requests = make_requests(lab.plan, demo::kDemoModel);
  lab.tell(fmt::format("ready: {} requests, {} at once", lab.requests.size(),
                       lab.plan.workload.at_once));
  if (lab.plan.checks.undisturbed) lab.undisturbed = co_await lab.load("undisturbed");
  co_await lab.break_and_load();
  co_return co_await lab.close();
}

}  // namespace perigee::lab
