// perigee_load: N connections, each a closed loop of requests (or N streams at once), every answer
// checked to its last byte. Exit status 1 when anything failed or a stream was lost.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <vector>

#include "answer_checker.h"
#include "net/endpoint.h"
#include "net/socket_address.h"

namespace perigee::load {
namespace {

double now_s() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Options {
  std::string url;
  std::string path = "/v1/chat/completions";
  std::string key;
  std::string model = "stub";
  std::vector<std::string> headers;
  std::uint32_t connections = 64;
  std::uint64_t requests = 0;
  double duration_s = 0;
  double timeout_s = 60;
  bool stream = false;
  std::uint32_t chunks = 0;
  std::uint32_t prompt_bytes = 200;
  bool hold = false;
  std::string format = "table";
};

struct Totals {
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;        // refused, broken, no connection
  std::uint64_t lost_streams = 0;  // begun, and something missing
  std::uint64_t chunks = 0;
  std::vector<double> latency_ms;
  std::vector<double> first_byte_ms;
  std::map<std::string, std::uint64_t> complaints;
};

struct Connection {
  Connection(bool stream, std::uint32_t chunks) : checker(stream, chunks) {}
  int fd = -1;
  AnswerChecker checker;
  std::string_view unsent;
  double started = 0;
  double first_byte = 0;
  bool busy = false;
  bool held = false;
};

class Load {
 public:
  Load(Options options, net::SocketAddress address)
      : options_(std::move(options)), address_(address), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    request_ = compose();
    for (std::uint32_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(options_.stream, options_.chunks));
    }
  }

  int run() {
    begun_ = now_s();
    for (const auto& connection : connections_) next(*connection);
    double swept = begun_;
    std::vector<epoll_event> events(512);
    while (busy_ > 0) {
      const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
      for (int i = 0; i < n; ++i) {
        on_ready(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
      }
      if (options_.hold && held_ + totals_.failed == connections_.size()) return hold();
      if (now_s() - swept < 0.1) continue;
      swept = now_s();
      for (const auto& connection : connections_) {
        if (connection->busy && swept - connection->started > options_.timeout_s) {
          fail(*connection, "no complete answer in time");
        }
      }
    }
    return report(now_s() - begun_);
  }

 private:
  std::string compose() const {
    const std::string prompt(options_.prompt_bytes, 'x');
    const bool chat = options_.path.ends_with("/chat/completions");
    std::string body =
        "{\"model\":\"" + options_.model + "\",\"max_tokens\":64,\"temperature\":0.7,";
    body += options_.path.ends_with("/embeddings") ? "\"input\":\"" + prompt + "\""
            : chat ? "\"messages\":[{\"role\":\"user\",\"content\":\"" + prompt + "\"}]"
                   : "\"prompt\":\"" + prompt + "\"";
    body += options_.stream ? ",\"stream\":true}" : "}";
    std::string out =
        "POST " + options_.path + " HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\n";
    if (!options_.key.empty()) out += "Authorization: Bearer " + options_.key + "\r\n";
    for (const std::string& header : options_.headers) out += header + "\r\n";
    return out + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  bool over() const {
    if (options_.duration_s > 0 && now_s() - begun_ >= options_.duration_s) return true;
    return options_.requests > 0 && issued_ >= options_.requests;
  }

  bool connect(Connection& connection) {
    connection.fd = ::socket(address_.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) return false;
    if (address_.storage.ss_family != AF_UNIX) net::disable_delay(connection.fd);
    if (::connect(connection.fd, address_.get(), address_.size) != 0) return false;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &connection;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) == 0;
  }

  // Sends the next request on it, if there is one.
  void next(Connection& connection) {
    while (!over()) {
      ++issued_;
      ++busy_;
      connection.busy = true;
      connection.started = now_s();
      connection.first_byte = 0;
      connection.unsent = request_;
      connection.checker.reset();
      if (connection.fd < 0 && !connect(connection)) {
        finish(connection, std::string{"can't connect: "} + std::strerror(errno), Verdict::Broken);
        continue;
      }
      flush(connection);
      return;
    }
  }

  void flush(Connection& connection) {
    while (!connection.unsent.empty()) {
      const ssize_t n = ::send(connection.fd, connection.unsent.data(), connection.unsent.size(),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0) return;  // EAGAIN, or an error that reading will tell
      connection.unsent.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  void on_ready(Connection& connection) {
    static char buffer[65'536];
    if (connection.fd < 0) return;
    flush(connection);
    for (;;) {
      const ssize_t n = ::recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return closed(connection);
      if (!connection.busy) return closed(connection);
      if (connection.first_byte == 0) connection.first_byte = now_s();
      const Verdict verdict = connection.checker.feed({buffer, static_cast<std::size_t>(n)});
      if (options_.hold && !connection.held && connection.checker.chunks() > 0) {
        connection.held = true;
        ++held_;
      }
      if (verdict != Verdict::More) {
        finish(connection, connection.checker.complaint(), verdict);
        return next(connection);
      }
      if (n < static_cast<ssize_t>(sizeof buffer)) return;
    }
  }

  void closed(Connection& connection) {
    if (connection.busy) {
      const Verdict verdict = connection.checker.close();
      finish(connection, connection.checker.complaint(), verdict);
      disconnect(connection);
      return next(connection);
    }
    disconnect(connection);
  }

  void fail(Connection& connection, const std::string& why) {
    const bool begun = options_.stream && connection.checker.started();
    finish(connection, why, begun ? Verdict::Incomplete : Verdict::Broken);
    next(connection);
  }

  void disconnect(Connection& connection) {
    if (connection.fd >= 0) ::close(connection.fd);
    connection.fd = -1;
  }

  void finish(Connection& connection, const std::string& complaint, Verdict verdict) {
    connection.busy = false;
    --busy_;
    totals_.chunks += connection.checker.chunks();
    if (verdict == Verdict::Good) {
      ++totals_.completed;
      totals_.latency_ms.push_back((now_s() - connection.started) * 1e3);
      totals_.first_byte_ms.push_back((connection.first_byte - connection.started) * 1e3);
      if (!connection.checker.keep_alive()) disconnect(connection);
      return;
    }
    const bool lost = options_.stream && verdict == Verdict::Incomplete;
    ++(lost ? totals_.lost_streams : totals_.failed);
    if (totals_.complaints.size() < 20 || totals_.complaints.contains(complaint))
      ++totals_.complaints[complaint];
    if (verdict != Verdict::Refused) disconnect(connection);
  }

  // All streams are open and silent: whoever measures may do so, until stdin ends.
  int hold() {
    std::printf("holding %u streams\n", held_);
    std::fflush(stdout);
    char ignored;
    while (::read(STDIN_FILENO, &ignored, 1) > 0) {
    }
    return totals_.failed == 0 ? 0 : 1;
  }

  static double quantile(std::vector<double>& values, double q) {
    if (values.empty()) return 0;
    const auto at = std::min(values.size() - 1,
                             static_cast<std::size_t>(q * static_cast<double>(values.size())));
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at),
                     values.end());
    return values[at];
  }

  int report(double seconds) {
    const double rate = static_cast<double>(totals_.completed) / seconds;
    const double chunk_rate = static_cast<double>(totals_.chunks) / seconds;
    const double p50 = quantile(totals_.latency_ms, 0.5);
    const double p99 = quantile(totals_.latency_ms, 0.99);
    const double first50 = quantile(totals_.first_byte_ms, 0.5);
    const double first99 = quantile(totals_.first_byte_ms, 0.99);
    const auto count = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    if (options_.format == "json") {
      std::printf(
          "{\"requests\":%llu,\"completed\":%llu,\"failed\":%llu,\"lost_streams\":%llu,\"chunks\":%"
          "llu,"
          "\"seconds\":%.3f,\"requests_per_s\":%.1f,\"chunks_per_s\":%.1f,\"latency_ms_p50\":%.3f,"
          "\"latency_ms_p99\":%.3f,\"first_byte_ms_p50\":%.3f,\"first_byte_ms_p99\":%.3f}\n",
          count(issued_), count(totals_.completed), count(totals_.failed),
          count(totals_.lost_streams), count(totals_.chunks), seconds, rate, chunk_rate, p50, p99,
          first50, first99);
    } else {
      std::printf("%llu requests in %.1f s: %llu completed, %llu failed, %llu streams lost\n",
                  count(issued_), seconds, count(totals_.completed), count(totals_.failed),
                  count(totals_.lost_streams));
      std::printf(
          "%.0f requests/s, %.0f chunks/s, latency p50 %.2f ms, p99 %.2f ms; first byte p50 %.2f "
          "ms, p99 %.2f ms\n",
          rate, chunk_rate, p50, p99, first50, first99);
    }
    for (const auto& [complaint, times] : totals_.complaints) {
      std::fprintf(stderr, "%llu x %s\n", count(times), complaint.c_str());
    }
    return totals_.failed == 0 && totals_.lost_streams == 0 && totals_.completed > 0 ? 0 : 1;
  }

  Options options_;
  net::SocketAddress address_;
  int epoll_;
  std::string request_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Totals totals_;
  double begun_ = 0;
  std::uint64_t issued_ = 0;
  std::uint64_t busy_ = 0;
  std::uint32_t held_ = 0;
};

int run(int argc, char** argv) {
  CLI::App app{"Load for an OpenAI-compatible endpoint: closed loops, every answer checked"};
  Options options;
  app.add_option("--url", options.url, "http://HOST:PORT or unix:PATH")->required();
  app.add_option("--path", options.path);
  app.add_option("--key", options.key, "sent as Authorization: Bearer");
  app.add_option("--model", options.model);
  app.add_option("--header", options.headers, "'Name: value', repeatable");
  app.add_option("-c,--connections", options.connections)->check(CLI::Range(1, 100'000));
  app.add_option("-n,--requests", options.requests, "in all; 0: until --duration");
  app.add_option("-d,--duration", options.duration_s, "seconds");
  app.add_option("--timeout", options.timeout_s, "seconds per request");
  app.add_flag("--stream", options.stream);
  app.add_option("--chunks", options.chunks, "content chunks that a whole stream has; 0: any");
  app.add_option("--prompt-bytes", options.prompt_bytes);
  app.add_flag("--hold", options.hold, "open the streams, say so, keep them until stdin ends");
  app.add_option("-o,--output", options.format)->check(CLI::IsMember({"table", "json"}));
  CLI11_PARSE(app, argc, argv);
  if (options.hold) {
    options.stream = true;
    options.requests = options.connections;
  }
  if (options.requests == 0 && options.duration_s <= 0) options.requests = options.connections;
  const Result<net::Url> url = net::parse_url(options.url);
  if (!url) {
    std::fprintf(stderr, "%s\n", url.error().message.c_str());
    return 2;
  }
  options.path = url->base_path + options.path;
  const auto address = net::literal_address(url->endpoint);
  if (!address || !*address) {
    std::fprintf(stderr, "give a literal address in --url\n");
    return 2;
  }
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  Load load{std::move(options), **address};
  return load.run();
}

}  // namespace
}  // namespace perigee::load

int main(int argc, char** argv) { return perigee::load::run(argc, argv); }
