// The parts of HttpClient: its pool, one connection, one exchange. Internal to net/.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/chunked_decoder.h"
#include "net/deadline_sweep.h"
#include "net/http1_parser.h"
#include "net/http_client.h"
#include "net/socket_address.h"
#include "net/stream_socket.h"

namespace perigee::net {

class ClientCore;

struct ClientConnection {
  ClientConnection(std::shared_ptr<ClientCore> core_in, const Endpoint& endpoint_in);
  ~ClientConnection() { watch(nullptr); }

  // Connects `abort` to this connection, and disconnects the former.
  void watch(Abort* switch_in);
  void expired();
  bool stopped() const { return aborted || timed_out; }
  // Leaves what later connections can resume TLS with.
  void keep_session();
  // What ended a wait: nothing, an abort or a deadline.
  Result<> check(std::string_view doing);
  Error lost(std::string_view doing, int error) const;

  std::shared_ptr<ClientCore> core;
  Endpoint endpoint;
  StreamSocket socket;
  std::shared_ptr<const TlsClient> tls;  // what its handshake was made with; null: plain
  DeadlineSweep::Entry deadline;
  Abort* abort = nullptr;
  bool idle = false;
  bool aborted = false;
  bool timed_out = false;
  bool heard = false;  // a byte of this exchange's response has come
  bool sent_whole = false;
};

class ClientCore : public std::enable_shared_from_this<ClientCore> {
 public:
  ClientCore(Executor executor, const Clock& clock, ClientLimits limits);

  // Null when none is idle.
  std::unique_ptr<ClientConnection> take_idle(const Endpoint& endpoint);
  void keep_idle(std::unique_ptr<ClientConnection> connection);
  void drop_idle(ClientConnection& connection);
  void close();
  std::size_t idle_connections() const;

  std::unique_ptr<char[]> take_buffer();
  void return_buffer(std::unique_ptr<char[]> buffer);

  // What TLS to `endpoint` can be resumed with: of the newest TlsClient's handshakes only, since a
  // session stands for the certificates of its time. May be null.
  ssl_session_st* session_for(const Endpoint& endpoint,
                              const std::shared_ptr<const TlsClient>& client) const;
  void keep_session(const Endpoint& endpoint, const std::shared_ptr<const TlsClient>& client,
                    TlsSession session);

  static constexpr std::size_t kBufferBytes = 16 * 1024;
  static constexpr std::size_t kFreeBuffersMax = 64;
  Executor executor;
  const ClientLimits limits;
  const http1::HeadLimits head_limits;
  DeadlineSweep sweep;
  std::shared_ptr<TlsClientSource> tls;  // null: no https

 private:
  static constexpr std::size_t kSessionsMax = 256;
  std::map<Endpoint, std::vector<std::unique_ptr<ClientConnection>>> idle_;
  std::vector<std::unique_ptr<char[]>> free_buffers_;
  std::map<Endpoint, TlsSession> sessions_;
  std::shared_ptr<const TlsClient> sessions_of_;
  bool closed_ = false;
};

// One exchange, from its response's head to its end.
struct ClientResponse::State {
  explicit State(std::unique_ptr<ClientConnection> connection_in)
      : connection(std::move(connection_in)), core(connection->core) {}
  ~State();

  // The next piece, empty at the body's end. False: the caller must wait for bytes, or give others
  // their turn (`turn_is_over`).
  Result<bool> next(std::string_view& piece);
  // next() and next_of_head(), which leave what they gave in `given` and `failure`: a coroutine
  // that waits need not keep room for it. False: it must wait.
  bool advance();
  bool advance_head(bool no_body);
  // Reads on until the head is whole. False: the caller must wait for bytes. `no_body`: the request
  // was HEAD.
  Result<bool> next_of_head(bool no_body);
  // Takes the next decoded piece of what was received. False: nothing there.
  Result<bool> take_piece(std::string_view& piece);
  Result<bool> take_chunks(std::string_view& piece);
  // Reads what is there into `pending`. False: nothing there. Unavailable at the end.
  Result<bool> receive(std::string_view doing);
  Result<bool> understand_head(bool no_body);
  void set_framing(bool no_body);
  void complete();
  void release_buffer();

  enum class Body : std::uint8_t { None, Length, Chunked, UntilClose };
  std::unique_ptr<ClientConnection> connection;  // null once the body is complete
  std::shared_ptr<ClientCore> core;
  std::string head;  // its bytes
  std::unique_ptr<char[]> buffer;
  std::string_view given;
  std::unique_ptr<Error> failure;
  std::string_view pending;  // received and not yet decoded, in `buffer`
  http1::ResponseHead parsed;
  http1::ChunkedDecoder decoder;
  std::uint64_t left = 0;  // of a Length body
  Body body = Body::None;
  bool ended = false;  // the peer closed
  std::uint8_t interim_heads = 0;
  bool turn_is_over = false;
  std::uint8_t turn = 0;  // reads without a wait, before others get their turn
};

// The connect of a fresh connection: Unavailable, DeadlineExceeded, Cancelled, InvalidArgument.
Task<Result<>> connect(ClientConnection& connection);

}  // namespace perigee::net
