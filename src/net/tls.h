// TLS for HttpServer and HttpClient: what each end shows and whom it believes.
//
// Two kinds of peers meet at one port. Members of the grid (sites, control) ask for the name
// kMemberServerName; between them it is TLS 1.3, both ends show a certificate of the grid's
// authority, and each knows the other's SPIFFE id. Everybody else (clients, browsers, tools) gets
// TLS 1.2 or 1.3 without a client certificate, and checks our host name as usual. Both speak
// http/1.1 (ALPN); there is no renegotiation, compression or early data.
//
// The objects here are immutable: to show a new certificate, make a new one and hand it over. New
// handshakes use the newest; connections that stand keep what they began with.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct ssl_ctx_st;

namespace perigee::net {

// Never a public name (RFC 9476 and ICANN keep .internal private).
inline constexpr std::string_view kMemberServerName = "member.perigee.internal";
inline constexpr std::string_view kSpiffeScheme = "spiffe://";

struct TlsCertificate {
  std::string chain_pem;  // the own certificate first, then what signed it
  std::string key_pem;    // a secret
};

// This process as a member of a grid.
struct TlsMember {
  TlsCertificate own;
  std::string authorities_pem;  // whose certificates other members may show
  std::string grid;             // its name: members of another grid are refused
};

struct TlsServerOptions {
  std::optional<TlsMember> member;      // the door for other members; nullopt: none
  std::optional<TlsCertificate> shown;  // to everybody else; nullopt: the member's own
};

// Any thread.
class TlsServer {
 public:
  // InvalidArgument says which certificate or key can't be used.
  static Result<std::shared_ptr<const TlsServer>> make(const TlsServerOptions& options);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  ssl_ctx_st* everyone() const { return everyone_; }
  ssl_ctx_st* members() const { return members_; }  // null: no such door
  const std::string& grid() const { return grid_; }

 private:
  TlsServer() = default;
  ssl_ctx_st* everyone_ = nullptr;
  ssl_ctx_st* members_ = nullptr;
  std::string grid_;
};

struct TlsClientOptions {
  std::optional<TlsMember> member;  // to call other members, and servers that ask for a certificate
  std::string authorities_pem;      // believed beside the system's when a host name is checked
  bool only_those = false;          // do not believe the system's
  // SHA-256 of a grid authority's certificate: the one that is believed, when control shows it in
  // its chain. For joining, when nothing else is known yet.
  std::string pinned_authority;  // 32 bytes; empty: none
};

// Any thread.
class TlsClient {
 public:
  static Result<std::shared_ptr<const TlsClient>> make(const TlsClientOptions& options);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ssl_ctx_st* web() const { return web_; }
  ssl_ctx_st* members() const { return members_; }  // null: this process is no member
  const std::string& pinned_authority() const { return pinned_authority_; }

 private:
  TlsClient() = default;
  ssl_ctx_st* web_ = nullptr;
  ssl_ctx_st* members_ = nullptr;
  std::string pinned_authority_;
};

// Where clients find the newest TlsClient: one per process, shared by all that call out. Set from
// any thread; takes effect at the next handshake.
class TlsClientSource {
 public:
  explicit TlsClientSource(std::shared_ptr<const TlsClient> first) : newest_(std::move(first)) {}
  std::shared_ptr<const TlsClient> newest() const { return newest_.load(); }
  void set(std::shared_ptr<const TlsClient> next) { newest_.store(std::move(next)); }

 private:
  std::atomic<std::shared_ptr<const TlsClient>> newest_;
};

}  // namespace perigee::net
