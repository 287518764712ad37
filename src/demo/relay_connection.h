// RelayConnection: one TCP connection through the relay: two pipes over the two directions of a
// link. Private to relay.cpp.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "demo/link_model.h"
#include "net/task.h"

namespace perigee::demo {

using RelaySocket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using RelayTimer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Executor>;

// Keeps itself alive by its coroutines until it is closed. One IO thread.
class RelayConnection : public std::enable_shared_from_this<RelayConnection> {
 public:
  // `forth` carries what the client sends, `back` the answers. `ended` is called once, when closed.
  RelayConnection(RelaySocket client, std::shared_ptr<LinkModel> forth,
                  std::shared_ptr<LinkModel> back, const Clock& clock, std::function<void()> ended);
  void start(asio::ip::tcp::endpoint target);
  void wake();   // a link was cut, healed or slowed: look again
  void close();  // both sides, at once

 private:
  enum class Kind : std::uint8_t { Data, End, Reset };
  struct Piece {
    Kind kind = Kind::Data;
    Instant arrival{};
    std::string bytes;
  };
  struct Pipe {
    Pipe(Executor executor, std::shared_ptr<LinkModel> model)
        : link(std::move(model)), arrived(executor), drained(executor) {}
    std::shared_ptr<LinkModel> link;
    std::deque<Piece> pieces;
    std::size_t bytes = 0;
    bool done = false;   // its End came out
    RelayTimer arrived;  // the writer waits: for a piece, its time, or a healing
    RelayTimer drained;  // the reader waits: for room
  };

  Task<> connect(asio::ip::tcp::endpoint target);
  Task<> read(RelaySocket& from, Pipe& pipe);
  Task<> write(Pipe& pipe, RelaySocket& to, Pipe& opposite);
  void spawn(Task<> task);
  void push(Pipe& pipe, Kind kind, std::string bytes);
  void finish(Pipe& pipe, RelaySocket& to);
  void reset();

  const Clock& clock_;
  RelaySocket client_;
  RelaySocket server_;
  Pipe forth_;
  Pipe back_;
  Instant established_{};  // a round trip after the connect: no data leaves before
  bool closed_ = false;
  std::function<void()> ended_;
};

}  // namespace perigee::demo
