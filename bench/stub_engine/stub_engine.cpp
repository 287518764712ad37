// perigee_stub_engine: a stub that speaks the OpenAI API and generates nothing, for benchmarks and
// tests. One thread, one epoll set. GET /stub/stats tells what it has seen.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <deque>
#include <memory>
#include <queue>
#include <unordered_set>
#include <vector>

#include "stub_answers.h"

namespace perigee::stub {
namespace {

std::int64_t now_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

struct Stats {
  std::uint64_t requests = 0;
  std::uint64_t bad_bodies = 0;
  std::uint64_t streams_open = 0;
  std::uint64_t streams_finished = 0;
  std::uint64_t streams_abandoned = 0;  // the client left first
  std::uint64_t waiting_most = 0;       // requests beyond the slots, at once
};

struct Stream {
  Settings settings;
  std::uint32_t next = 0;
  bool include_usage = false;
  bool chat = true;
};

struct Connection {
  int fd = -1;
  std::uint64_t serial = 0;
  std::string in;
  std::string out;  // what the socket had no room for
  std::unique_ptr<Stream> stream;
  bool waiting = false;  // for its delay, or for ever
  bool close_after = false;
  bool has_slot = false;
};

struct Due {
  std::int64_t at_ms;
  std::uint64_t serial;
  Connection* connection;
  friend bool operator>(const Due& a, const Due& b) {
    return a.at_ms != b.at_ms ? a.at_ms > b.at_ms : a.serial > b.serial;
  }
};

class StubEngine {
 public:
  StubEngine(Settings settings, int listener)
      : settings_(std::move(settings)), listener_(listener) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    watch(listener_, nullptr, EPOLLIN);
    answers_[0] = json_answer(200, completion(settings_, false));
    answers_[1] = json_answer(200, completion(settings_, true));
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(1024);
    for (;;) {
      const int n =
          ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), patience_ms());
      for (int i = 0; i < n; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto* connection = static_cast<Connection*>(event.data.ptr);
        if (connection == nullptr) {
          accept_all();
        } else if (connection->fd >= 0) {
          on_events(*connection, event.events);
        }
      }
      run_due();
      admit();
      dead_.clear();
    }
  }

 private:
  void watch(int fd, Connection* connection, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  int patience_ms() const {
    if (due_.empty()) return -1;
    const std::int64_t left = due_.top().at_ms - now_ms();
    return left < 0 ? 0 : static_cast<int>(left);
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connection->serial = ++serials_;
      watch(fd, connection.get(), EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET);
      connections_.insert(connection.release());
    }
  }

  void drop(Connection& connection, bool reset = false) {
    if (connection.fd < 0) return;
    if (connection.stream) {
      --stats_.streams_open;
      ++stats_.streams_abandoned;
    }
    if (reset) {
      const linger now{1, 0};
      ::setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    free_slot(connection);
    ::close(connection.fd);
    connection.fd = -1;
    connections_.erase(&connection);
    dead_.emplace_back(&connection);  // freed after this turn: events may still name it
  }

  void send(Connection& connection, std::string_view bytes) {
    if (connection.fd < 0) return;
    if (connection.out.empty()) {
      const ssize_t n =
          ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) return drop(connection);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    connection.out.append(bytes);
  }

  void on_events(Connection& connection, std::uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return drop(connection);
    if ((events & EPOLLOUT) != 0 && !connection.out.empty()) {
      const std::string rest = std::move(connection.out);
      connection.out.clear();
      send(connection, rest);
      if (connection.fd >= 0 && connection.out.empty()) {
        if (connection.close_after) return drop(connection);
        if (connection.stream && !connection.waiting) pump(connection);
      }
    }
    if ((events & EPOLLIN) != 0 && connection.fd >= 0) receive(connection);
  }

  void receive(Connection& connection) {
    static char buffer[65'536];
    for (;;) {
      const ssize_t n = ::recv(connection.fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno != EAGAIN)) return drop(connection);
      if (n < 0) break;
      connection.in.append(buffer, static_cast<std::size_t>(n));
      if (static_cast<std::size_t>(n) < sizeof buffer) break;
    }
    serve(connection);
  }

  void serve(Connection& connection) {
    while (connection.fd >= 0 && !connection.stream && !connection.waiting &&
           !connection.in.empty()) {
      connection.in.reserve(connection.in.size() + 64);  // padding for the JSON parser
      StubRequest request;
      const ReadState state = read_request(connection.in, settings_, request);
      if (state == ReadState::NeedMore) return;
      if (state == ReadState::Bad) {
        connection.close_after = true;
        send(connection,
             json_answer(400, R"({"error":{"message":"the stub can't read this request"}})"));
        if (connection.out.empty()) drop(connection);
        return;
      }
      if (request.method == "POST" && !take_slot(connection)) return;
      if (request.settings.delay_ms > 0 && !delayed_.contains(connection.serial)) {
        delayed_.insert(connection.serial);
        connection.waiting = true;
        due_.push({now_ms() + request.settings.delay_ms, connection.serial, &connection});
        return;
      }
      delayed_.erase(connection.serial);
      const std::size_t size = request.size;
      answer(connection, request);
      if (!connection.stream && !connection.waiting) free_slot(connection);
      if (connection.fd >= 0) connection.in.erase(0, size);
    }
  }

  // Like an engine's own queue: first come, first served. True: it may be answered now.
  bool take_slot(Connection& connection) {
    if (settings_.slots == 0 || connection.has_slot) return true;
    if (busy_ == settings_.slots) {
      connection.waiting = true;
      pending_.push_back({0, connection.serial, &connection});
      stats_.waiting_most = std::max<std::uint64_t>(stats_.waiting_most, pending_.size());
      return false;
    }
    ++busy_;
    connection.has_slot = true;
    return true;
  }

  void free_slot(Connection& connection) {
    if (!connection.has_slot) return;
    connection.has_slot = false;
    --busy_;
  }

  void admit() {
    while (busy_ < settings_.slots && !pending_.empty()) {
      const Due next = pending_.front();
      pending_.pop_front();
      if (!connections_.contains(next.connection) || next.connection->serial != next.serial) {
        continue;
      }
      next.connection->waiting = false;
      serve(*next.connection);
    }
  }

  void answer(Connection& connection, const StubRequest& request) {
    const bool chat = request.path == "/v1/chat/completions";
    if (request.method == "GET") return answer_get(connection, request);
    ++stats_.requests;
    if (misbehave(connection, request)) return;
    const std::size_t offset = static_cast<std::size_t>(request.body.data() - connection.in.data());
    const std::optional<Wanted> wanted = read_body(connection.in, offset, request.body.size());
    if (!wanted) {
      ++stats_.bad_bodies;
      return send(connection,
                  json_answer(400, R"({"error":{"message":"the body is not one JSON object"}})"));
    }
    if (request.path == "/v1/embeddings")
      return send(connection, json_answer(200, embedding(request.settings)));
    if (!chat && request.path != "/v1/completions") return send(connection, json_answer(404, "{}"));
    const Fault fault = request.settings.fault;
    if (wanted->stream) {
      auto stream = std::make_unique<Stream>();
      stream->settings = request.settings;
      stream->include_usage = wanted->include_usage;
      stream->chat = chat;
      connection.stream = std::move(stream);
      ++stats_.streams_open;
      send(connection, stream_head());
      if (connection.fd >= 0) pump(connection);
      return;
    }
    if (fault == Fault::BadJson || fault == Fault::BadSse) {
      return send(connection, json_answer(200, R"({"choices":[{"message":)"));
    }
    if (fault == Fault::ResetMidway || fault == Fault::CloseMidway) {
      const std::string& whole = answers_[chat ? 1 : 0];
      send(connection, std::string_view{whole}.substr(0, whole.size() / 2));
      return drop(connection, fault == Fault::ResetMidway);
    }
    if (request.settings.tokens != settings_.tokens) {
      return send(connection, json_answer(200, completion(request.settings, chat)));
    }
    send(connection, answers_[chat ? 1 : 0]);
  }

  void answer_get(Connection& connection, const StubRequest& request) {
    if (request.path == "/healthz") return send(connection, json_answer(200, R"({"status":"ok"})"));
    if (request.path == "/v1/models") return send(connection, json_answer(200, models(settings_)));
    if (request.path != "/stub/stats") return send(connection, json_answer(404, "{}"));
    const std::string body = R"({"requests":)" + std::to_string(stats_.requests) +
                             R"(,"bad_bodies":)" + std::to_string(stats_.bad_bodies) +
                             R"(,"streams_open":)" + std::to_string(stats_.streams_open) +
                             R"(,"streams_finished":)" + std::to_string(stats_.streams_finished) +
                             R"(,"streams_abandoned":)" + std::to_string(stats_.streams_abandoned) +
                             R"(,"waiting_most":)" + std::to_string(stats_.waiting_most) +
                             R"(,"connections":)" + std::to_string(connections_.size()) + "}";
    send(connection, json_answer(200, body));
  }

  // Faults that come before anything is said.
  bool misbehave(Connection& connection, const StubRequest& request) {
    switch (request.settings.fault) {
      case Fault::Garbage:
        connection.close_after = true;
        send(connection, "\x01\x02 this is no HTTP at all \xff\xfe\n\n");
        if (connection.out.empty()) drop(connection);
        return true;
      case Fault::NeverAnswers: connection.waiting = true; return true;
      case Fault::CloseAtOnce: drop(connection); return true;
      case Fault::Status500:
        send(connection,
             json_answer(500, R"({"error":{"message":"stub fault","type":"server_error"}})"));
        return true;
      case Fault::Status429:
        send(connection,
             json_answer(429, R"({"error":{"message":"stub is full","type":"rate_limit_error"}})"));
        return true;
      default: return false;
    }
  }

  // Sends chunks of a stream until it must wait, for the clock or for the reader.
  void pump(Connection& connection) {
    while (connection.fd >= 0 && connection.out.empty() && connection.stream) {
      Stream& stream = *connection.stream;
      const Settings& settings = stream.settings;
      if (stream.next == settings.chunks) {
        const std::string end = stream_end(settings, stream.include_usage, stream.chat);
        --stats_.streams_open;
        ++stats_.streams_finished;
        connection.stream.reset();
        free_slot(connection);
        send(connection, end);
        return;
      }
      if (stream.next == settings.chunks / 2 && break_stream(connection)) return;
      send(connection, stream_chunk(settings, stream.next++, stream.chat));
      if (connection.fd < 0 || settings.hold) return;
      if (settings.interval_ms == 0) continue;
      connection.waiting = true;
      due_.push({now_ms() + settings.interval_ms, connection.serial, &connection});
      return;
    }
  }

  // Faults in the middle of a stream. True: nothing more is to be sent.
  bool break_stream(Connection& connection) {
    switch (connection.stream->settings.fault) {
      case Fault::ResetMidway: drop(connection, true); return true;
      case Fault::CloseMidway: drop(connection); return true;
      case Fault::BadSse:
      case Fault::BadJson:
        send(connection, "13\r\ndata: {\"choices\":\n\n\r\n");
        return connection.fd < 0;
      case Fault::EndlessLine: {
        const std::string filler = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
        for (int i = 0; i < 64 && connection.fd >= 0; ++i) send(connection, filler);
        return connection.fd < 0;
      }
      default: return false;
    }
  }

  void run_due() {
    const std::int64_t now = due_.empty() ? 0 : now_ms();
    while (!due_.empty() && due_.top().at_ms <= now) {
      const Due due = due_.top();
      due_.pop();
      // The connection may be gone, and another at its address.
      if (!connections_.contains(due.connection) || due.connection->serial != due.serial) continue;
      due.connection->waiting = false;
      if (due.connection->stream) pump(*due.connection);
      serve(*due.connection);
    }
  }

  Settings settings_;
  int listener_;
  int epoll_ = -1;
  std::string answers_[2];
  std::unordered_set<Connection*> connections_;
  std::unordered_set<std::uint64_t> delayed_;
  std::vector<std::unique_ptr<Connection>> dead_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::uint64_t serials_ = 0;
  std::uint32_t busy_ = 0;   // slots
  std::deque<Due> pending_;  // wait for a slot
  Stats stats_;
};

// "127.0.0.1:PORT" or "unix:PATH"; prints where it listens.
int listen_at(const std::string& where) {
  int fd = -1;
  if (where.starts_with("unix:")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    where.substr(5).copy(address.sun_path, sizeof address.sun_path - 1);
    fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
    std::printf("listening %s\n", where.c_str());
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::size_t colon = where.rfind(':');
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(where.substr(colon + 1))));
    fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("listening 127.0.0.1:%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
  }
  std::fflush(stdout);
  return ::listen(fd, SOMAXCONN) == 0 ? fd : -1;
}

int run(int argc, char** argv) {
  CLI::App app{"A stub of an OpenAI-compatible engine, for benchmarks and tests only"};
  Settings settings;
  std::string listen = "127.0.0.1:0";
  std::string fault = "none";
  app.add_option("--listen", listen, "127.0.0.1:PORT (0: any) or unix:PATH");
  app.add_option("--model", settings.model, "the model it claims to serve");
  app.add_option("--chunks", settings.chunks, "content chunks of a stream");
  app.add_option("--interval-ms", settings.interval_ms, "time between chunks");
  app.add_option("--tokens", settings.tokens, "completion tokens said in usage");
  app.add_option("--delay-ms", settings.delay_ms, "time before any answer");
  app.add_option("--slots", settings.slots, "answers at once; more wait their turn; 0: any number");
  app.add_flag("--hold", settings.hold, "keep streams open after their first chunk, for ever");
  app.add_option("--fault", fault, "one of: " + fault_names());
  CLI11_PARSE(app, argc, argv);
  const std::optional<Fault> parsed = parse_fault(fault);
  if (!parsed) {
    std::fprintf(stderr, "unknown fault '%s': expected one of %s\n", fault.c_str(),
                 fault_names().c_str());
    return 2;
  }
  settings.fault = *parsed;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const int listener = listen_at(listen);
  if (listener < 0) {
    std::fprintf(stderr, "can't listen at %s: choose another address\n", listen.c_str());
    return 1;
  }
  StubEngine engine{std::move(settings), listener};
  engine.run();
}

}  // namespace
}  // namespace perigee::stub

int main(int argc, char** argv) { return perigee::stub::run(argc, argv); }
