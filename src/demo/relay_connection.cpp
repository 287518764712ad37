#include "demo/relay_connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "base/log.h"
#include "demo/relay.h"
#include "net/vital_task.h"

namespace perigee::demo {
namespace {

constexpr std::size_t kReadBytes = std::size_t{16} * 1024;

using tcp = asio::ip::tcp;

void set_low_delay(RelaySocket& socket) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay{true}, ignored);
}

void close_socket(RelaySocket& socket, bool reset) {
  boost::system::error_code ignored;
  if (reset) socket.set_option(asio::socket_base::linger{true, 0}, ignored);
  socket.close(ignored);
}

}  // namespace

RelayConnection::RelayConnection(RelaySocket client, std::shared_ptr<LinkModel> forth,
                                 std::shared_ptr<LinkModel> back, const Clock& clock,
                                 std::function<void()> ended)
    : clock_(clock),
      client_(std::move(client)),
      server_(client_.get_executor()),
      forth_(client_.get_executor(), std::move(forth)),
      back_(client_.get_executor(), std::move(back)),
      ended_(std::move(ended)) {}

void RelayConnection::start(tcp::endpoint target) {
  set_low_delay(client_);
  established_ = clock_.now() + forth_.link->delay() + back_.link->delay();
  spawn(write(back_, client_, forth_));
  spawn(connect(std::move(target)));
}

void RelayConnection::spawn(Task<> task) {
  const auto ended = [self = shared_from_this()](const std::exception_ptr& thrown) {
    if (thrown == nullptr) return;
    log::error("a relayed connection ended by an exception: a defect",
               {{"exception", net::text_of(thrown)}});
    self->close();
  };
  asio::co_spawn(client_.get_executor(), std::move(task), ended);
}

void RelayConnection::wake() {
  for (Pipe* pipe : {&forth_, &back_}) {
    pipe->arrived.cancel();
    pipe->drained.cancel();
  }
}

void RelayConnection::close() {
  if (std::exchange(closed_, true)) return;
  close_socket(client_, false);
  close_socket(server_, false);
  wake();
  if (const auto ended = std::exchange(ended_, nullptr)) ended();
}

void RelayConnection::reset() {
  if (closed_) return;
  close_socket(client_, true);
  close_socket(server_, true);
  close();
}

void RelayConnection::push(Pipe& pipe, Kind kind, std::string bytes) {
  const Instant now = std::max(clock_.now(), established_);
  pipe.bytes += bytes.size();
  pipe.link->damage(bytes);
  const Instant arrival = pipe.link->arrival(bytes.size(), now);
  pipe.pieces.push_back({kind, arrival, std::move(bytes)});
  pipe.arrived.cancel();
}

void RelayConnection::finish(Pipe& pipe, RelaySocket& to) {
  boost::system::error_code ignored;
  to.shutdown(tcp::socket::shutdown_send, ignored);
  pipe.done = true;
  if (forth_.done && back_.done) close();
}

Task<> RelayConnection::connect(tcp::endpoint target) {
  RelayTimer syn{client_.get_executor()};
  syn.expires_after(forth_.link->delay());
  co_await syn.async_wait(kAwait);
  if (closed_) co_return;
  auto connected = co_await server_.async_connect(target, kAwait);
  if (closed_) co_return;
  if (std::get<0>(connected)) {
    established_ = {};  // the refusal leaves at once
    push(back_, Kind::Reset, {});
    co_return;
  }
  set_low_delay(server_);
  spawn(write(forth_, server_, back_));
  spawn(read(client_, forth_));
  spawn(read(server_, back_));
}

Task<> RelayConnection::read(RelaySocket& from, Pipe& pipe) {
  std::array<char, kReadBytes> buffer;
  for (;;) {
    while (pipe.bytes >= kPipeBytesMax && !closed_) {
      pipe.drained.expires_at(std::chrono::steady_clock::time_point::max());
      co_await pipe.drained.async_wait(kAwait);
    }
    if (closed_) co_return;
    auto got = co_await from.async_read_some(asio::buffer(buffer), kAwait);
    const boost::system::error_code error = std::get<0>(got);
    if (closed_) co_return;
    if (error) {
      push(pipe, error == asio::error::eof ? Kind::End : Kind::Reset, {});
      co_return;
    }
    std::string bytes{buffer.data(), std::get<1>(got)};
    push(pipe, Kind::Data, std::move(bytes));
  }
}

Task<> RelayConnection::write(Pipe& pipe, RelaySocket& to, Pipe& opposite) {
  while (!closed_) {
    const Instant now = clock_.now();
    const std::optional<Instant> due =
        pipe.pieces.empty() ? std::nullopt : pipe.link->release(pipe.pieces.front().arrival);
    if (!due || *due > now) {
      if (due) {
        pipe.arrived.expires_after(*due - now);
      } else {
        pipe.arrived.expires_at(std::chrono::steady_clock::time_point::max());
      }
      co_await pipe.arrived.async_wait(kAwait);
      continue;
    }
    const Piece piece = std::move(pipe.pieces.front());
    pipe.pieces.pop_front();
    if (piece.kind == Kind::Reset) co_return reset();
    if (piece.kind == Kind::End) co_return finish(pipe, to);
    auto written = co_await asio::async_write(to, asio::buffer(piece.bytes), kAwait);
    if (closed_) co_return;
    if (std::get<0>(written)) {
      push(opposite, Kind::Reset, {});  // the far end is gone and says so
      co_return;
    }
    pipe.bytes -= piece.bytes.size();
    pipe.drained.cancel();
  }
}

}  // namespace perigee::demo
