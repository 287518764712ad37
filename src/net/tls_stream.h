// TlsStream: TLS over one non-blocking descriptor. Internal to net/: a StreamSocket owns it.
//
// OpenSSL reads and writes the descriptor through a BIO of our own, which keeps the descriptor's
// readiness as plain reads and writes do (a short read: it is empty), so a record costs one system
// call and a waiting connection neither a buffer nor a call.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/poller.h"
#include "net/tls.h"
#include "net/tls_peer.h"

struct ssl_st;
struct ssl_session_st;
struct x509_st;
struct x509_store_ctx_st;
struct bio_method_st;

namespace perigee::net {

struct IoResult;

struct SessionFreed {
  void operator()(ssl_session_st* session) const;
};
using TlsSession = std::unique_ptr<ssl_session_st, SessionFreed>;

class TlsStream {
 public:
  // `name` of a client: "spiffe://..." (a member), or the host name that must be in the
  // certificate.
  TlsStream(std::shared_ptr<const TlsServer> server, Descriptor& descriptor);
  TlsStream(std::shared_ptr<const TlsClient> client, Descriptor& descriptor,
            const std::string& name, ssl_session_st* session);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Step : std::uint8_t { Done, WantRead, WantWrite, Failed };
  Step handshake();  // again when the descriptor is ready
  // Why it failed, for people, one line; empty when the connection just ended.
  const std::string& failure() const { return failure_; }
  const TlsPeer& peer() const { return peer_; }
  bool resumed() const;
  TlsSession take_session() { return std::move(session_); }  // to resume with; may be null

  // As StreamSocket's. An end without the peer's goodbye is a failure: data may be missing.
  IoResult read(char* into, std::size_t size);
  IoResult peek();  // as read() of a byte, which stays
  IoResult write(std::span<iovec>& parts);
  bool pending() const { return pending_; }  // received, not yet read
  void say_goodbye();                        // close_notify, if it fits

  // OpenSSL's callbacks (tls.cpp).
  static TlsStream& of(ssl_st* ssl);
  static int verify(x509_store_ctx_st* context, void*);
  static int take_session(ssl_st* ssl, ssl_session_st* session);
  void expect_member(std::string grid) { member_of_ = std::move(grid); }

 private:
  void open(ssl_st* ssl);
  bool accept_peer(x509_st* certificate);
  bool trust_pinned(x509_store_ctx_st* context);
  Step fail();
  IoResult after_read(bool got_some, std::size_t bytes);
  void remember_failure(int error);

  ssl_st* ssl_ = nullptr;
  Descriptor& descriptor_;
  std::shared_ptr<const TlsServer> server_;  // what it began with; the callbacks look into it
  std::shared_ptr<const TlsClient> client_;
  TlsSession session_;
  TlsPeer peer_;
  std::string expected_;   // of a client: the member's SPIFFE id
  std::string member_of_;  // of a server: the grid whose members come in by this door
  std::string failure_;
  bool pending_ = false;
  bool established_ = false;
};

}  // namespace perigee::net
