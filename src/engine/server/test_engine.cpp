#include "engine/server/test_engine.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <stdexcept>

namespace perigee::engine_server {

const llama::Model& demo_model() {
  static const std::unique_ptr<llama::Model> model = [] {
    llama::ModelOptions options;
    options.path = PERIGEE_DEMO_MODEL;
    auto loaded = llama::Model::load(options);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    return std::move(*loaded);
  }();
  return *model;
}

TestEngine::TestEngine(const llama::BatcherOptions& options)
    : server_(io_.get_executor(), server_clock_, "m") {
  auto started = llama::Batcher::start(demo_model(), clock_, options,
                                       [this, deliver = server_.deliver()](auto&& events) {
                                         {
                                           std::unique_lock lock{mutex_};
                                           stands_ = held_;
                                           changed_.notify_all();
                                           changed_.wait(lock, [this] { return !held_; });
                                         }
                                         deliver(std::move(events));
                                       });
  if (!started) throw std::runtime_error(started.error().message);
  batcher_ = std::move(*started);
  server_.set_ready(demo_model(), *batcher_);
  http_ =
      std::make_unique<net::HttpServer>(io_.get_executor(), clock_, net::ServerLimits{},
                                        [this](net::Request& request, net::ResponseWriter& out) {
                                          return server_.handle(request, out);
                                        });
  auto listening = http_->listen(net::parse_endpoint("127.0.0.1:0").value());
  if (!listening) throw std::runtime_error(listening.error().message);
  endpoint_ = *listening;
  thread_ = std::thread{[this] { io_.run(); }};
}

// Lets what still runs end, as the program does: a coroutine that waits when its loop is destroyed
// is never freed.
TestEngine::~TestEngine() {
  let_go_on();
  asio::co_spawn(io_, http_->shut_down(Duration{}), asio::detached);
  thread_.join();
  http_.reset();
  batcher_.reset();
}

void TestEngine::hold() {
  const std::scoped_lock lock{mutex_};
  held_ = true;
}

void TestEngine::wait_until_it_stands() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return stands_; });
}

void TestEngine::let_go_on() {
  const std::scoped_lock lock{mutex_};
  held_ = false;
  changed_.notify_all();
}

std::string TestEngine::request(std::string_view method, std::string_view path,
                                std::string_view body, std::string_view headers) {
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{}", method,
      path, body.size(), headers, body);
}

std::string TestEngine::post(std::string_view path, std::string_view body,
                             std::string_view headers) {
  net::RawPeer peer = connect();
  peer.send(request("POST", path, body, headers));
  return peer.read_to_end();
}

std::string TestEngine::get(std::string_view path) {
  net::RawPeer peer = connect();
  peer.send(request("GET", path, "", ""));
  return peer.read_to_end();
}

std::string body_of(const std::string& response) {
  const std::size_t end = response.find("\r\n\r\n");
  return end == std::string::npos ? std::string{} : response.substr(end + 4);
}

}  // namespace perigee::engine_server
