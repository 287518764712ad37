#include "cli/demo_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>
#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "cli/demo_view.h"
#include "cli/environment.h"
#include "demo/orders.h"
#include "demo/state_file.h"
#include "demo/tour.h"
#include "net/notifier.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr const char* kModelFile = "perigee-demo.gguf";

class DemoSession {
 public:
  explicit DemoSession(DemoWishes wishes)
      : wishes_(std::move(wishes)),
        started_(clock_.now()),
        stopped_(context_.get_executor()),
        signals_(context_.get_executor(), SIGINT, SIGTERM, SIGHUP),
        grid_(context_.get_executor(), clock_, wishes_.grid,
              [this](const std::string& line) { tell(line); }) {}

  int run() {
    if (const auto claimed = claim(); !claimed) return report(claimed.error());
    watch_signals();
    const auto ended = [this](const std::exception_ptr& failure, int status) {
      exit_status_ = status;
      context_.stop();
      if (failure) std::rethrow_exception(failure);
    };
    asio::co_spawn(context_, wishes_.once ? tour() : stay(), ended);
    context_.run();
    return exit_status_;
  }

 private:
  void tell(const std::string& line) {
    print_note(fmt::format("[{:5.2f} s] {}", to_seconds(clock_.now() - started_), line));
  }

  // Before any process is started: only one demo may use the state file.
  Result<> claim() {
    if (wishes_.once) return {};
    PERIGEE_TRY(file, demo::StateFile::claim(demo_runtime_dir()));
    file_ = std::move(file);
    return {};
  }

  void watch_signals() {
    signals_.async_wait([this](boost::system::error_code error, int) {
      if (error) return;
      if (stopping_) return context_.stop();  // the processes are killed with the grid
      request_stop();
      watch_signals();
    });
  }

  void request_stop() {
    stopping_ = true;
    grid_.cancel();
    stopped_.notify();
  }

  // Starts the grid; on failure takes down what runs and returns the exit status.
  Task<std::optional<int>> start() {
    auto started = co_await grid_.start();
    if (started) {
      tell("ready");
      co_return std::nullopt;
    }
    co_await grid_.stop();
    if (started.error().code == Code::Cancelled) co_return 128 + SIGINT;
    co_return report_failure(started.error());
  }

  static int report_failure(const Error& error) {
    print_note("perigee: the demo did not start");
    print_note(error.message);
    return kExitError;
  }

  void publish() {
    const auto written = file_->write(state());
    if (!written) report(written.error());
  }

  json::object state() const {
    json::object state = grid_.state();
    state["pid"] = ::getpid();
    state["socket"] = file_->socket_path();
    return state;
  }

  Task<int> stay() {
    const std::optional<int> failed = co_await start();
    if (failed) co_return *failed;
    demo::OrderServer orders{context_.get_executor(), clock_, grid_, [this] { request_stop(); }};
    const auto listening = orders.listen(file_->socket_path());
    if (!listening) {
      co_await grid_.stop();
      co_return report(listening.error());
    }
    publish();
    grid_.watch([this] { publish(); });
    if (wishes_.format == OutputFormat::Json)
      print(json::value(state()));
    else
      print_banner(grid_);
    while (!stopping_) co_await stopped_.wait();
    tell("stopping");
    grid_.watch(nullptr);
    co_await grid_.stop();
    co_return kExitOk;
  }

  Task<int> tour() {
    const std::optional<int> failed = co_await start();
    if (failed) co_return *failed;
    std::function<void(const std::string&)> teller = [this](const std::string& line) {
      tell(line);
    };
    const demo::TourReport report = co_await demo::take_tour(grid_, std::move(teller));
    if (wishes_.format == OutputFormat::Json)
      print(tour_json(report));
    else
      print_tour(report);
    co_await grid_.stop();
    co_return report.held() ? kExitOk : kExitError;
  }

  DemoWishes wishes_;
  SystemClock clock_;
  Instant started_;
  asio::io_context context_{1};
  net::Notifier stopped_;
  asio::basic_signal_set<Executor> signals_;
  std::unique_ptr<demo::StateFile> file_;
  demo::DemoGrid grid_;
  bool stopping_ = false;
  int exit_status_ = kExitError;
};

}  // namespace

int run_demo(DemoWishes wishes) {
  forget_perigee_environment();
  DemoSession session{std::move(wishes)};
  return session.run();
}

Result<std::string> find_demo_model(const std::string& program) {
  namespace fs = std::filesystem;
  const fs::path beside = fs::path{program}.parent_path().parent_path();
  std::vector<fs::path> folders;
  if (auto folder = environment("PERIGEE_MODELS_DIR")) folders.emplace_back(*folder);
  folders.push_back(beside / "share/perigee/models");
  folders.push_back(beside / "models");
  folders.emplace_back(PERIGEE_SOURCE_MODELS);
  std::string looked;
  for (const fs::path& folder : folders) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / kModelFile, ignored)) return (folder / kModelFile).string();
    looked += " " + folder.string();
  }
  return Error{Code::NotFound, fmt::format("{} is in none of{}; name a model with --model FILE",
                                           kModelFile, looked)};
}

}  // namespace perigee::cli
