// For tests of this folder: the demo model behind a real HTTP server on a thread of its own.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "engine/server/engine_server.h"
#include "net/http_server.h"
#include "net/test_support.h"

namespace perigee::engine_server {

const llama::Model& demo_model();

class TestEngine {
 public:
  explicit TestEngine(const llama::BatcherOptions& options);
  ~TestEngine();
  // Sends one request on a new connection and returns the whole response.
  std::string post(std::string_view path, std::string_view body, std::string_view headers = "");
  std::string get(std::string_view path);
  net::RawPeer connect() { return net::RawPeer{endpoint_}; }
  static std::string request(std::string_view method, std::string_view path, std::string_view body,
                             std::string_view headers);
  llama::Batcher& batcher() { return *batcher_; }

 private:
  asio::io_context io_{1};
  SystemClock clock_;
  EngineServer server_;
  std::unique_ptr<llama::Batcher> batcher_;
  std::unique_ptr<net::HttpServer> http_;
  net::Endpoint endpoint_;
  std::thread thread_;
};

// The payload of a response: what follows its head.
std::string body_of(const std::string& response);

}  // namespace perigee::engine_server
