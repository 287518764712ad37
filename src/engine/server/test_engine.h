// For tests of this folder: the demo model behind a real HTTP server on a thread of its own.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "engine/server/engine_server.h"
#include "net/http_server.h"
#include "net/test_support.h"

namespace perigee::engine_server {

const llama::Model& demo_model();

// The system's, and what a test adds to it. Thread-safe.
class ShiftedClock final : public Clock {
 public:
  Instant now() const override { return system_.now() + Duration{added_.load()}; }
  WallTime wall() const override { return system_.wall(); }
  void advance(Duration by) { added_ += by.count(); }

 private:
  SystemClock system_;
  std::atomic<Duration::rep> added_{0};
};

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
  // The computing thread stands still from the next events it has until it is let go on.
  void hold();
  void wait_until_it_stands();
  void let_go_on();
  ShiftedClock& server_clock() { return server_clock_; }  // the EngineServer's alone

 private:
  asio::io_context io_{1};
  SystemClock clock_;
  ShiftedClock server_clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool stands_ = false;
  EngineServer server_;
  std::unique_ptr<llama::Batcher> batcher_;
  std::unique_ptr<net::HttpServer> http_;
  net::Endpoint endpoint_;
  std::thread thread_;
};

// The payload of a response: what follows its head.
std::string body_of(const std::string& response);

}  // namespace perigee::engine_server
