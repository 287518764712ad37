#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <utility>

#include "base/assert.h"
#include "net/tls_stream.h"
#include "pki/certificate.h"
#include "pki/openssl_handles.h"

namespace perigee::net {
namespace {

using pki::openssl_error;

// TLS 1.2: forward secret, authenticated ciphers only. TLS 1.3 has no others.
constexpr const char* kCiphers12 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr unsigned char kProtocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr int kDepthMax = 4;

struct ContextFreed {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, ContextFreed>;

ContextPtr make_context(const SSL_METHOD* method, int version_min) {
  ContextPtr context{SSL_CTX_new(method)};
  PERIGEE_ASSERT(context != nullptr);
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, version_min);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // A waiting connection holds no buffers, as a plain one.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(raw, 1);  // a record costs one system call
  PERIGEE_ASSERT(SSL_CTX_set_cipher_list(raw, kCiphers12) == 1);
  PERIGEE_ASSERT(SSL_CTX_set1_groups_list(raw, kGroups) == 1);
  SSL_CTX_set_default_passwd_cb(raw, [](char*, int, int, void*) { return 0; });
  SSL_CTX_set_verify_depth(raw, kDepthMax);
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(raw), X509_V_FLAG_PARTIAL_CHAIN);
  return context;
}

Result<> use_certificate(SSL_CTX* context, const TlsCertificate& certificate) {
  PERIGEE_TRY(chain, pki::certificates_from_pem(certificate.chain_pem));
  PERIGEE_CHECK(pki::check_key_belongs(certificate.key_pem, chain.front()));
  const pki::BioPtr bio = pki::reader_of(certificate.key_pem);
  const pki::KeyPtr key{PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr)};
  if (SSL_CTX_use_certificate(context, chain.front().handle()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return openssl_error(Code::InvalidArgument, "the certificate can't be used for TLS");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].handle()) != 1) {
      return openssl_error(Code::InvalidArgument, "the certificate's chain can't be used");
    }
  }
  return {};
}

Result<> trust(SSL_CTX* context, std::string_view authorities_pem) {
  PERIGEE_TRY(authorities, pki::certificates_from_pem(authorities_pem));
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const pki::Certificate& authority : authorities) {
    if (X509_STORE_add_cert(store, authority.handle()) != 1) {
      return openssl_error(Code::InvalidArgument, "an authority's certificate can't be used");
    }
  }
  return {};
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof kProtocols, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // the peer wants another protocol, and no guess is safe
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// The host name of a ClientHello (RFC 6066, section 3), before any of it was acted on.
std::string_view asked_name(SSL* ssl) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return {};
  constexpr std::size_t kBefore = 5;  // list length, type, name length
  if (size < kBefore || data[2] != TLSEXT_NAMETYPE_host_name) return {};
  const std::size_t name_size = static_cast<std::size_t>(data[3]) << 8U | data[4];
  if (name_size > size - kBefore) return {};
  return {reinterpret_cast<const char*>(data + kBefore), name_size};
}

// Lets members in by their own door, before version, session or certificate are chosen.
int on_client_hello(SSL* ssl, int*, void* argument) {
  const auto* server = static_cast<const TlsServer*>(argument);
  if (server->members() == nullptr || asked_name(ssl) != kMemberServerName) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  SSL_set_SSL_CTX(ssl, server->members());
  SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
  TlsStream::of(ssl).expect_member(server->grid());
  return SSL_CLIENT_HELLO_SUCCESS;
}

ContextPtr make_server_context(int version_min, std::string_view door) {
  ContextPtr context = make_context(TLS_server_method(), version_min);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);  // tickets only
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(door.data()),
                                 static_cast<unsigned int>(door.size()));
  SSL_CTX_set_cert_verify_callback(context.get(), TlsStream::verify, nullptr);
  return context;
}

ContextPtr make_client_context(int version_min) {
  ContextPtr context = make_context(TLS_client_method(), version_min);
  SSL_CTX_set_alpn_protos(context.get(), kProtocols, sizeof kProtocols);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), TlsStream::verify, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), TlsStream::take_session);
  return context;
}

}  // namespace

TlsServer::~TlsServer() {
  SSL_CTX_free(everyone_);
  SSL_CTX_free(members_);
}

Result<std::shared_ptr<const TlsServer>> TlsServer::make(const TlsServerOptions& options) {
  PERIGEE_ASSERT(options.member || options.shown);
  std::shared_ptr<TlsServer> server{new TlsServer};
  ContextPtr everyone = make_server_context(TLS1_2_VERSION, "everyone");
  PERIGEE_CHECK(
      use_certificate(everyone.get(), options.shown ? *options.shown : options.member->own));
  SSL_CTX_set_client_hello_cb(everyone.get(), on_client_hello, server.get());
  if (options.member) {
    ContextPtr members = make_server_context(TLS1_3_VERSION, "members");
    PERIGEE_CHECK(use_certificate(members.get(), options.member->own));
    PERIGEE_CHECK(trust(members.get(), options.member->authorities_pem));
    server->members_ = members.release();
    server->grid_ = options.member->grid;
  }
  server->everyone_ = everyone.release();
  return std::shared_ptr<const TlsServer>{std::move(server)};
}

TlsClient::~TlsClient() {
  SSL_CTX_free(web_);
  SSL_CTX_free(members_);
}

Result<std::shared_ptr<const TlsClient>> TlsClient::make(const TlsClientOptions& options) {
  std::shared_ptr<TlsClient> client{new TlsClient};
  ContextPtr web = make_client_context(TLS1_2_VERSION);
  if (!options.only_those) SSL_CTX_set_default_verify_paths(web.get());
  if (!options.authorities_pem.empty()) PERIGEE_CHECK(trust(web.get(), options.authorities_pem));
  ERR_clear_error();  // a system without a store of authorities
  if (options.member) {
    // An engine elsewhere that asks who calls is told.
    PERIGEE_CHECK(use_certificate(web.get(), options.member->own));
    ContextPtr members = make_client_context(TLS1_3_VERSION);
    PERIGEE_CHECK(use_certificate(members.get(), options.member->own));
    PERIGEE_CHECK(trust(members.get(), options.member->authorities_pem));
    client->members_ = members.release();
  }
  client->web_ = web.release();
  client->pinned_authority_ = options.pinned_authority;
  return std::shared_ptr<const TlsClient>{std::move(client)};
}

}  // namespace perigee::net
