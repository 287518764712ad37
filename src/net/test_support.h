// What the tests of net/ share: a server on a thread of its own, and a client that is nothing but a
// blocking socket, so that any bytes can be sent.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "net/endpoint.h"
#include "net/http_server.h"
#include "net/socket_address.h"

namespace perigee::net {

// A connected blocking socket that gives up after ten seconds.
class RawPeer {
 public:
  explicit RawPeer(int fd) : fd_(fd), connected_(fd >= 0) { set_patience(); }
  explicit RawPeer(const Endpoint& endpoint) {
    const auto address = literal_address(endpoint).value().value();
    fd_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_patience();
    connected_ = ::connect(fd_, address.get(), address.size) == 0;
  }
  RawPeer(RawPeer&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        held_(std::move(other.held_)) {}
  ~RawPeer() { close(); }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {  // RST instead of FIN
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  // All bytes until the peer closes (or ten seconds of silence).
  std::string read_to_end() {
    std::string out = std::move(held_);
    held_.clear();
    while (read_more(out)) {
    }
    return out;
  }
  // Up to and including `mark`; what follows is kept. Shorter when the peer closed.
  std::string read_until(std::string_view mark) {
    while (held_.find(mark) == std::string::npos) {
      if (!read_more(held_)) return std::exchange(held_, {});
    }
    const std::size_t end = held_.find(mark) + mark.size();
    std::string out = held_.substr(0, end);
    held_.erase(0, end);
    return out;
  }
  std::string read_exactly(std::size_t size) {
    while (held_.size() < size && read_more(held_)) {
    }
    std::string out = held_.substr(0, size);
    held_.erase(0, size);
    return out;
  }

 private:
  bool read_more(std::string& out) {
    char buffer[16384];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    out.append(buffer, static_cast<std::size_t>(n));
    return true;
  }
  void set_patience() {
    const timeval patience{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }

  int fd_ = -1;
  bool connected_ = false;
  std::string held_;
};

// An io_context on its own thread; stopped and joined at the end.
class IoThread {
 public:
  IoThread() : work_(context_.get_executor()), thread_([this] { context_.run(); }) {}
  ~IoThread() { stop(); }
  Executor executor() { return context_.get_executor(); }
  void stop() {
    if (!thread_.joinable()) return;
    context_.stop();
    thread_.join();
  }
  // Runs `function` on the thread and gives its value.
  template <class Function>
  auto call(Function function) {
    std::packaged_task<decltype(function())()> task(std::move(function));
    auto future = task.get_future();
    asio::post(context_, std::move(task));
    return future.get();
  }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  std::thread thread_;
};

// An HttpServer on its own thread.
class TestServer {
 public:
  explicit TestServer(Handler handler, ServerLimits limits = {},
                      Endpoint where = {"127.0.0.1", 0, {}}) {
    endpoint_ = io_.call([&] {
      server_.emplace(io_.executor(), clock_, limits, std::move(handler));
      return server_->listen(where).value();
    });
  }
  ~TestServer() {
    io_.call([&] {
      server_.reset();
      return 0;
    });
    io_.stop();
  }
  const Endpoint& endpoint() const { return endpoint_; }
  RawPeer connect() const { return RawPeer{endpoint_}; }
  IoThread& io() { return io_; }
  HttpServer& server() { return *server_; }  // only inside io().call()

  // Sends `bytes` on a new connection and gives all that comes back.
  std::string talk(std::string_view bytes) const {
    RawPeer client = connect();
    client.send(bytes);
    return client.read_to_end();
  }

 private:
  SystemClock clock_;
  IoThread io_;
  std::optional<HttpServer> server_;
  Endpoint endpoint_;
};

// Answers with what it understood: "METHOD PATH?QUERY [BODY]".
inline Task<void> echo(Request& request, ResponseWriter& out) {
  std::string body{request.method};
  body.append(" ").append(request.path).append("?").append(request.query);
  body.append(" [").append(request.body).append("]");
  for (std::size_t i = 0; i < kBodyPadding; ++i) {
    if (request.body.data()[request.body.size() + i] == '\1') body.append("!");  // readable padding
  }
  const Header type{"Content-Type", "text/plain"};
  auto sent = co_await out.respond(200, {&type, 1}, body);
  static_cast<void>(sent);
}

inline constexpr std::string_view kClose = "Host: a\r\nConnection: close\r\n\r\n";

inline std::string get(std::string_view target, std::string_view more = kClose) {
  return "GET " + std::string{target} + " HTTP/1.1\r\n" + std::string{more};
}

}  // namespace perigee::net
