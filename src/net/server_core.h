// ServerCore: what the connections of one HttpServer share. Internal to net/.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/deadline_sweep.h"
#include "net/http1_parser.h"
#include "net/http_server.h"
#include "net/poller.h"

namespace perigee::net {

class ServerConnection;

class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  ServerCore(Executor executor, const Clock& clock, ServerLimits limits, Handler handler);
  ~ServerCore();

  Result<Endpoint> listen(Endpoint endpoint);
  void stop_listening();
  void close_all();
  static Task<void> shut_down(std::shared_ptr<ServerCore> self, Duration grace, Duration at_most);

  // "Date: ...\r\n", made once per second.
  std::string_view date_line();
  void add(ServerConnection& connection);
  void remove(ServerConnection& connection);
  std::size_t connections() const { return connections_.size(); }
  bool draining() const { return draining_; }
  bool closing() const { return closing_; }  // no connection is served once more
  void cut_members(const std::function<bool(std::string_view)>& refused);
  // A handshake's next step may take milliseconds: one of them, then others get their turn.
  Task<void> handshake_turn();
  // Says why one failed; not each time, since scanners try all day.
  void warn_of_handshake(const std::string& why);

  Executor executor;
  const Clock& clock;
  const ServerLimits limits;
  const http1::HeadLimits head_limits;
  const Handler handler;
  DeadlineSweep sweep;
  // Scratch of the IO thread: never held over a suspension.
  static constexpr std::size_t kScratchBytes = 64 * 1024;
  std::unique_ptr<char[]> scratch{new char[kScratchBytes]};
  std::string output;
  http1::RequestHead head;
  std::shared_ptr<const TlsServer> tls;  // null: everything comes in the clear
  bool plain_from_anywhere = false;
  std::size_t handshakes = 0;  // under way
  std::size_t body_bytes = 0;  // of all connections' bodies, as they count (bodies_bytes_max)

 private:
  struct Listener;
  void accept_from(Listener& listener);
  void take(int fd, bool loopback, bool is_unix);
  bool close_an_idle_one();
  void close_idle_ones();
  void refuse_for_want_of_descriptors(Listener& listener);
  void retry_later();
  bool busy() const;

  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<ServerConnection*> connections_;
  std::size_t idle_cursor_ = 0;  // where the search for an idle connection goes on
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      retry_timer_, drained_;
  std::string date_;
  std::int64_t date_second_ = -1;
  Instant serve_until_ = Instant::max();
  Instant drain_until_ = Instant::max();
  Instant warned_ = Instant::min();
  int spare_fd_ = -1;  // given up to accept and refuse when the process has no descriptor left
  bool draining_ = false;
  bool closing_ = false;
  bool retrying_ = false;
  Instant handshake_warned_ = Instant::min();
  int handshake_steps_ = 0;  // in this turn of the event loop
};

}  // namespace perigee::net
