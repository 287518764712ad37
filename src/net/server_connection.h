// ServerConnection: one client of an HttpServer, from accept to close. Internal to net/.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/byte_buffer.h"
#include "net/chunked_decoder.h"
#include "net/deadline_sweep.h"
#include "net/http1_parser.h"
#include "net/http_server.h"
#include "net/server_core.h"
#include "net/stream_socket.h"

namespace perigee::net {

class ServerConnection final : public ResponseWriter,
                               public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(std::shared_ptr<ServerCore> core, bool loopback);
  ~ServerConnection() override;

  bool open(int fd) { return socket_.descriptor().open(fd); }
  // The connection's life; it holds the last reference.
  static Task<void> serve(std::shared_ptr<ServerConnection> self);
  // The same where TLS is spoken: agrees on it first, or refuses to go on in the clear.
  static Task<void> greet_and_serve(std::shared_ptr<ServerConnection> self);
  std::string_view member() const { return request_.member(); }
  // Between requests, with nothing received of the next.
  bool idle() const { return phase_ == Phase::Idle && socket_.is_open(); }
  // Closes at once and tells the watcher.
  void cut();

  Task<Result<>> respond(int status, std::span<const Header> headers,
                         std::string_view body) override;
  Task<Result<>> begin(int status, std::span<const Header> headers) override;
  Task<Result<>> write(std::string_view bytes) override;
  Task<Result<>> finish() override;
  bool started() const override { return answer_ != Answer::None; }
  void watch_client(std::function<void()> left) override;
  void release_request() override;

  std::size_t index = 0;  // in ServerCore's table

 private:
  enum class Phase : std::uint8_t { Idle, Head, LengthBody, ChunkedBody, Handling, Closing };
  enum class Answer : std::uint8_t { None, Streaming, Done, Broken };
  enum class Step : std::uint8_t { Wait, Yield, Handle, Refuse, Close };

  // TLS (server_handshake.cpp).
  static Task<bool> greet(ServerConnection& self);
  static Task<bool> agree_on_tls(ServerConnection& self);

  // Receiving (server_connection.cpp). Step::Wait: more bytes are needed.
  Step advance();
  Step read_once();
  Step understand(std::string_view bytes);
  Step accept_head(std::string_view bytes);
  Step continue_length_body();
  Step feed_chunks(std::string_view bytes);
  Step finish_request();
  void publish_request(const char* parsed_at);
  void keep_rest(std::string_view rest);
  Step refuse(int status, std::string_view reason);
  bool has_room_for(std::size_t body_bytes);
  void drop_request();
  static Task<void> answer_refusal(ServerConnection& self);
  bool end_exchange();
  void expired();
  void tell_watcher();
  void tell_watcher_later();

  // Sending (server_response.cpp).
  Result<> compose_head(int status, std::span<const Header> headers, bool stream,
                        std::size_t body_bytes);
  Task<Result<>> drain(std::string before, std::string_view body, std::string_view after);
  Result<> broken();
  bool try_send(std::span<iovec> parts, std::size_t& sent, bool& failed);

  std::shared_ptr<ServerCore> core_;
  StreamSocket socket_;
  DeadlineSweep::Entry deadline_;
  ByteBuffer in_;     // received and not yet understood: part of a head, or pipelined requests
  ByteBuffer block_;  // the request: head, body, padding, header table
  Request request_;
  std::function<void()> left_;
  http1::ChunkedDecoder decoder_;
  http1::Refusal refusal_;
  std::size_t head_bytes_ = 0;
  std::size_t body_bytes_ = 0;  // of a LengthBody, declared
  std::size_t held_bytes_ = 0;  // of the body that has come, while it is held
  std::size_t header_count_ = 0;
  Phase phase_ = Phase::Idle;
  Answer answer_ = Answer::None;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool head_only_ = false;  // HEAD
  bool timed_out_ = false;
  bool in_is_new_ = false;  // in_ has bytes that no parse has seen
};

}  // namespace perigee::net
