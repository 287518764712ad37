#include "engine/server/run_engine.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "engine/server/engine_server.h"
#include "net/vital_task.h"

namespace perigee::engine_server {
namespace {

struct Loaded {
  std::unique_ptr<llama::Model> model;
  std::unique_ptr<llama::Batcher> batcher;
};

// What lives for the length of the process; built and taken down in order by run_engine().
class EngineProcess {
 public:
  explicit EngineProcess(const EngineOptions& options)
      : options_(options),
        server_(io_.get_executor(), clock_, options.name),
        http_(std::make_unique<net::HttpServer>(
            io_.get_executor(), clock_, net::ServerLimits{},
            [this](net::Request& request, net::ResponseWriter& out) {
              return server_.handle(request, out);
            })),
        signals_(io_, SIGTERM, SIGINT) {}

  ~EngineProcess() {
    cancelled_.store(true);
    if (loader_.joinable()) loader_.join();
    http_.reset();  // before the batcher that its handlers use
  }

  Result<> run() {
    PERIGEE_CHECK(listen());
    signals_.async_wait([this](boost::system::error_code error, int) {
      if (!error) stop();
    });
    loader_ = std::thread{[this] { load(); }};
    io_.run();
    return outcome_;
  }

 private:
  Result<> listen() {
    const mode_t before = ::umask(0177);  // a socket file that only its owner can use
    auto listening = http_->listen(options_.listen);
    ::umask(before);
    if (!listening) return std::move(listening).error();
    listening_ = listening->to_string();
    return {};
  }

  // On the loader thread.
  void load() {
    auto loaded = std::make_shared<Result<Loaded>>(make());
    asio::post(io_, [this, loaded] { finish_loading(std::move(*loaded)); });
  }

  Result<Loaded> make() {
    llama::ModelOptions model_options = options_.model;
    model_options.cancelled = &cancelled_;
    Loaded loaded;
    PERIGEE_CHECK(check_weights(model_options.path, options_.trust, &cancelled_));
    PERIGEE_TRY(model, llama::Model::load(model_options));
    loaded.model = std::move(model);
    PERIGEE_TRY(batcher,
                llama::Batcher::start(*loaded.model, clock_, options_.batcher, server_.deliver()));
    loaded.batcher = std::move(batcher);
    return loaded;
  }

  void finish_loading(Result<Loaded>&& loaded) {
    if (stopping_) return;
    if (!loaded) {
      outcome_ = std::move(loaded).error();
      return io_.stop();
    }
    loaded_ = std::move(*loaded);
    server_.set_ready(*loaded_.model, *loaded_.batcher);
    const EngineLoad speed = loaded_.batcher->load();
    log::info("engine is ready", {{"model", options_.name},
                                  {"listen", listening_},
                                  {"weights", loaded_.model->description()},
                                  {"context", loaded_.batcher->context()},
                                  {"slots", speed.slots},
                                  {"prefill_tokens_per_s", speed.prefill_tokens_per_s},
                                  {"decode_ms", speed.decode_ms}});
  }

  void stop() {
    stopping_ = true;
    cancelled_.store(true);
    log::info("engine is stopping");
    asio::co_spawn(io_, shut_down(), net::VitalTask{"stopping the engine"});
  }

  Task<> shut_down() {
    co_await http_->shut_down(options_.grace);
    io_.stop();
  }

  const EngineOptions& options_;
  asio::io_context io_{1};
  SystemClock clock_;
  std::atomic<bool> cancelled_{false};
  Loaded loaded_;
  EngineServer server_;
  std::unique_ptr<net::HttpServer> http_;
  asio::signal_set signals_;
  std::string listening_;
  std::thread loader_;
  bool stopping_ = false;
  Result<> outcome_;
};

}  // namespace

Result<> run_engine(const EngineOptions& options) {
  if (!options.listen.is_loopback()) {
    return Error{Code::InvalidArgument,
                 fmt::format("an engine has no keys and listens on a Unix socket or loopback only, "
                             "not on {}",
                             options.listen.to_string())};
  }
  std::signal(SIGPIPE, SIG_IGN);
  EngineProcess process{options};
  return process.run();
}

}  // namespace perigee::engine_server
