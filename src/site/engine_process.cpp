#include "site/engine_process.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "api/error_body.h"
#include "api/load.h"
#include "base/log.h"
#include "net/child_process.h"
#include "net/vital_task.h"

namespace perigee {
namespace {

constexpr Duration kStartPoll = milliseconds{25};
constexpr Duration kLoadPoll = milliseconds{500};

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

}  // namespace

std::string_view to_string(EngineState state) {
  switch (state) {
    case EngineState::Starting: return "starting";
    case EngineState::Ready: return "ready";
    case EngineState::Failed: return "failed";
    case EngineState::Stopped: return "stopped";
  }
  return "";
}

// Shared with the coroutine that runs the engine, which ends when `stopped`.
struct EngineProcess::State : std::enable_shared_from_this<EngineProcess::State> {
  State(Parts given, EngineSpec what)
      : parts(std::move(given)), spec(std::move(what)), timer(parts.executor) {}

  void set(EngineState next) {
    if (state == next) return;
    state = next;
    parts.changed();
  }

  Result<> spawn() {
    net::ChildOptions options;
    options.own_group = true;  // Ctrl-C is for the site, which ends it when its work has ended
    options.arguments = {parts.program, "engine",
                         "--model",     spec.model_path,
                         "--name",      spec.model.str(),
                         "--listen",    "unix:" + spec.socket_path,
                         "--slots",     std::to_string(spec.slots),
                         "--threads",   std::to_string(spec.threads)};
    if (!spec.model_sha256.empty()) {
      options.arguments.insert(options.arguments.end(), {"--sha256", spec.model_sha256});
    }
    if (!spec.model_public_key.empty()) {
      options.arguments.insert(options.arguments.end(), {"--public-key", spec.model_public_key});
    }
    if (spec.context_tokens > 0) {
      options.arguments.insert(options.arguments.end(),
                               {"--context", std::to_string(spec.context_tokens)});
    }
    if (spec.gpu_layers != 0) {
      options.arguments.insert(options.arguments.end(),
                               {"--gpu-layers", std::to_string(spec.gpu_layers)});
    }
    auto child = net::ChildProcess::spawn(parts.executor, options,
                                          [weak = weak_from_this()](const net::ChildExit& how) {
                                            if (const auto self = weak.lock()) self->exited(how);
                                          });
    if (!child) return std::move(child).error();
    process = std::move(*child);
    return {};
  }

  void exited(const net::ChildExit& how) {
    fault = how.to_string();
    timer.cancel();
    poll.abort();
  }

  Task<Result<std::string>> get(std::string_view target) {
    net::ClientRequest request;
    request.method = "GET";
    request.target = target;
    auto response = co_await parts.client.send(endpoint(), request, &poll);
    if (!response) co_return std::move(response).error();
    auto body = co_await response->read_all(4096);
    if (!body) co_return std::move(body).error();
    if (response->status() != 200) co_return api::parse_error_body(response->status(), *body);
    co_return std::move(*body);
  }

  Task<> sleep(Duration duration) {
    timer.expires_after(duration);
    co_await timer.async_wait(kAwait);
  }

  bool running() const { return process != nullptr && process->running(); }
  net::Endpoint endpoint() const { return net::Endpoint{"", 0, spec.socket_path}; }

  // True when ready; false when it ended or took too long.
  Task<bool> become_ready() {
    const Instant give_up = parts.clock.now() + kStartMax;
    while (!stopped && running() && parts.clock.now() < give_up) {
      auto answer = co_await get("/healthz");
      if (answer && !stopped && running()) co_return true;
      if (!stopped && running()) co_await sleep(kStartPoll);
    }
    if (!stopped && running()) fault = "did not become ready in time";
    co_return false;
  }

  Task<> watch() {
    Instant heard = parts.clock.now();
    while (!stopped && running()) {
      auto answer = co_await get("/load");
      if (stopped || !running()) co_return;
      const Instant now = parts.clock.now();
      const auto parsed = answer ? api::parse_load(*answer) : std::nullopt;
      if (parsed) {
        heard = now;
        load = *parsed;
        load_as_of = now;
        parts.changed();
      } else if (now - heard > kSilentMax) {
        fault = "did not tell its load for 10 s: ";
        fault += answer ? "what it told is none" : answer.error().message;
        co_return;
      }
      co_await sleep(kLoadPoll);
    }
  }

  Task<> run([[maybe_unused]] std::shared_ptr<State> self) {  // keeps itself alive
    Duration back_off = kBackOffFirst;
    while (!stopped) {
      fault.clear();
      poll.reset();  // the last run's end aborted it
      set(EngineState::Starting);
      Duration served{};
      auto spawned = spawn();
      if (!spawned) {
        fault = spawned.error().message;
      } else if (const bool ready = co_await become_ready(); ready && !stopped) {
        log::info(
            "engine ready",
            {{"engine", spec.name.str()}, {"model", spec.model.str()}, {"pid", process->pid()}});
        set(EngineState::Ready);
        const Instant ready_at = parts.clock.now();
        co_await watch();
        served = parts.clock.now() - ready_at;
      }
      if (stopped) co_return;
      process.reset();  // kills it if it still runs
      if (served > kBackOffReset) back_off = kBackOffFirst;
      last_fault = fault.empty() ? "ended" : fault;
      ++restarts;
      log::error(
          "engine failed",
          {{"engine", spec.name.str()}, {"fault", last_fault}, {"restart_in_ms", to_ms(back_off)}});
      load = EngineLoad{};
      set(EngineState::Failed);
      co_await sleep(back_off);
      back_off = std::min(back_off * 2, kBackOffLast);
    }
  }

  Parts parts;
  EngineSpec spec;
  Timer timer;
  net::Abort poll;
  std::unique_ptr<net::ChildProcess> process;
  EngineState state = EngineState::Starting;
  EngineLoad load;
  Instant load_as_of{};
  std::string fault;       // of this run
  std::string last_fault;  // of the last run that ended
  std::uint32_t restarts = 0;
  bool stopped = false;
};

EngineProcess::EngineProcess(Parts parts, EngineSpec spec)
    : state_(std::make_shared<State>(std::move(parts), std::move(spec))) {
  asio::co_spawn(state_->parts.executor, state_->run(state_), net::VitalTask{"watching an engine"});
}

EngineProcess::~EngineProcess() {
  state_->stopped = true;
  state_->parts.changed = [] {};
  state_->process.reset();
  state_->timer.cancel();
  state_->poll.abort();
}

const EngineSpec& EngineProcess::spec() const { return state_->spec; }
EngineState EngineProcess::state() const { return state_->state; }
const EngineLoad& EngineProcess::load() const { return state_->load; }
Instant EngineProcess::load_as_of() const { return state_->load_as_of; }
std::uint32_t EngineProcess::restarts() const { return state_->restarts; }
const std::string& EngineProcess::last_fault() const { return state_->last_fault; }
int EngineProcess::pid() const { return state_->process ? state_->process->pid() : 0; }
net::Endpoint EngineProcess::endpoint() const { return state_->endpoint(); }

}  // namespace perigee
