#include "net/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/assert.h"
#include "net/socket_address.h"
#include "net/stream_socket.h"
#include "pki/certificate.h"
#include "pki/certificate_check.h"
#include "pki/openssl_handles.h"
#include "pki/spiffe_id.h"

namespace perigee::net {
namespace {

constexpr std::size_t kRecordBytesMax = 16 * 1024;

// --- the BIO over a Descriptor ---

Descriptor& descriptor_of(BIO* bio) { return *static_cast<Descriptor*>(BIO_get_data(bio)); }

int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* got) {
  Descriptor& descriptor = descriptor_of(bio);
  BIO_clear_retry_flags(bio);
  for (;;) {
    const ssize_t n = ::recv(descriptor.fd(), into, size, MSG_DONTWAIT);
    if (n > 0) {
      *got = static_cast<std::size_t>(n);
      if (*got < size && !descriptor.peer_closed()) descriptor.clear_readable();
      return 1;
    }
    *got = 0;
    if (n == 0) {
      BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      descriptor.clear_readable();
      BIO_set_retry_read(bio);
    }
    return -1;
  }
}

int bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* put) {
  Descriptor& descriptor = descriptor_of(bio);
  BIO_clear_retry_flags(bio);
  for (;;) {
    const ssize_t n = ::send(descriptor.fd(), from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      *put = static_cast<std::size_t>(n);
      return 1;
    }
    *put = 0;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      descriptor.clear_writable();
      BIO_set_retry_write(bio);
    }
    return -1;
  }
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "descriptor");
    PERIGEE_ASSERT(made != nullptr);
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

bool is_address(const std::string& name) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET, name.c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), &ignored) == 1;
}

// What the other end's alert says, without OpenSSL's history of protocol names in it.
std::string refusal_by_peer(const char* reason) {
  std::string text = reason;
  constexpr std::string_view kAlert = "alert ";
  if (const std::size_t at = text.find(kAlert); at != std::string::npos) {
    return "the other end refused: " + text.substr(at + kAlert.size());
  }
  return text;
}

// What SSL_get_error() needs before each call. Clearing an empty queue costs more than a look.
void forget_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

void SessionFreed::operator()(ssl_session_st* session) const { SSL_SESSION_free(session); }

TlsStream& TlsStream::of(ssl_st* ssl) { return *static_cast<TlsStream*>(SSL_get_app_data(ssl)); }

void TlsStream::open(ssl_st* ssl) {
  PERIGEE_ASSERT(ssl != nullptr);
  ssl_ = ssl;
  SSL_set_app_data(ssl_, this);
  BIO* bio = BIO_new(bio_method());
  PERIGEE_ASSERT(bio != nullptr);
  BIO_set_data(bio, &descriptor_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsStream::TlsStream(std::shared_ptr<const TlsServer> server, Descriptor& descriptor)
    : descriptor_(descriptor), server_(std::move(server)) {
  open(SSL_new(server_->everyone()));
  SSL_set_accept_state(ssl_);
}

TlsStream::TlsStream(std::shared_ptr<const TlsClient> client, Descriptor& descriptor,
                     const std::string& name, ssl_session_st* session)
    : descriptor_(descriptor), client_(std::move(client)) {
  const bool member = name.starts_with(kSpiffeScheme);
  const bool as_member = member && client_->members() != nullptr;
  open(SSL_new(as_member ? client_->members() : client_->web()));
  SSL_set_connect_state(ssl_);
  if (member) {
    expected_ = name;
    if (as_member) SSL_set_tlsext_host_name(ssl_, std::string{kMemberServerName}.c_str());
  } else {
    if (is_address(name)) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), name.c_str());
    } else {
      SSL_set_tlsext_host_name(ssl_, name.c_str());
      SSL_set1_host(ssl_, name.c_str());
    }
  }
  if (session != nullptr) SSL_set_session(ssl_, session);
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

bool TlsStream::resumed() const { return SSL_session_reused(ssl_) == 1; }

int TlsStream::take_session(ssl_st* ssl, ssl_session_st* session) {
  of(ssl).session_.reset(session);
  return 1;  // it is ours now
}

// Joining: the authority is known by its hash alone; control's chain brings the certificate.
bool TlsStream::trust_pinned(x509_store_ctx_st* context) {
  const STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(context);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    X509* each = sk_X509_value(sent, i);
    if (pki::Certificate{each}.sha256() != client_->pinned_authority()) continue;
    STACK_OF(X509)* trusted = sk_X509_new_null();
    sk_X509_push(trusted, each);
    X509_STORE_CTX_set0_trusted_stack(context, trusted);
    X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set1_host(param, nullptr, 0);
    X509_VERIFY_PARAM_set1_ip(param, nullptr, 0);
    const bool believed = X509_verify_cert(context) == 1;
    sk_X509_free(trusted);
    if (!believed) return false;
    auto member =
        pki::parse_spiffe_id(pki::Certificate{X509_STORE_CTX_get0_cert(context)}.spiffe_id());
    if (member && member->role == pki::MemberRole::Control) return true;
    failure_ = "the certificate is not the one of a grid's control";
    return false;
  }
  failure_ = "the authority of the certificate is not the one that the join command names";
  return false;
}

int TlsStream::verify(x509_store_ctx_st* context, void*) {
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsStream& self = of(ssl);
  bool believed = false;
  if (self.client_ && !self.client_->pinned_authority().empty() && self.expected_.empty()) {
    believed = self.trust_pinned(context);
  } else {
    believed = X509_verify_cert(context) == 1;
  }
  if (!believed) {
    const int status = X509_STORE_CTX_get_error(context);
    if (self.failure_.empty()) {
      self.failure_ = pki::explain_refusal(status, X509_STORE_CTX_get_current_cert(context));
    }
    if (status == X509_V_OK) {
      X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_REJECTED);
    }
    ERR_clear_error();
    return 0;
  }
  if (self.accept_peer(X509_STORE_CTX_get0_cert(context))) return 1;
  X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_REJECTED);
  return 0;
}

// Whom the (verified) certificate names; false, with `failure_`, when it is not whom we mean.
bool TlsStream::accept_peer(x509_st* certificate) {
  const bool as_client = !expected_.empty();
  if (!as_client && member_of_.empty()) return true;  // by host name, or unasked
  const pki::Certificate leaf{certificate};
  if (as_client) {
    if (auto checked = pki::check_spiffe_id(leaf, expected_); !checked) {
      failure_ = checked.error().message;
      return false;
    }
  } else {
    auto member = pki::parse_spiffe_id(leaf.spiffe_id());
    if (!member || member->grid != member_of_ || member->role == pki::MemberRole::Authority) {
      failure_ = member ? "the certificate names " + leaf.spiffe_id() +
                              ", which is no member of the grid " + member_of_
                        : member.error().message;
      return false;
    }
  }
  peer_.spiffe_id = leaf.spiffe_id();
  return true;
}

TlsStream::Step TlsStream::fail() {
  if (failure_.empty()) remember_failure(SSL_ERROR_SSL);
  ERR_clear_error();
  return Step::Failed;
}

void TlsStream::remember_failure(int error) {
  const unsigned long number = ERR_peek_error();
  const char* reason = ERR_reason_error_string(number);
  if (error == SSL_ERROR_SSL && reason != nullptr) failure_ = refusal_by_peer(reason);
  ERR_clear_error();
}

TlsStream::Step TlsStream::handshake() {
  forget_errors();
  const int status = SSL_do_handshake(ssl_);
  if (status != 1) {
    switch (SSL_get_error(ssl_, status)) {
      case SSL_ERROR_WANT_READ: return Step::WantRead;
      case SSL_ERROR_WANT_WRITE: return Step::WantWrite;
      default: return fail();
    }
  }
  // A resumed session was verified when it began; its certificate may have run out since.
  if (peer_.spiffe_id.empty() && (!expected_.empty() || !member_of_.empty())) {
    X509* certificate = SSL_get0_peer_certificate(ssl_);
    if (certificate == nullptr) {
      failure_ = "the other end showed no certificate of the grid";
      return Step::Failed;
    }
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) {
      failure_ = pki::explain_refusal(X509_V_ERR_CERT_HAS_EXPIRED, certificate);
      return Step::Failed;
    }
    if (!accept_peer(certificate)) return Step::Failed;
  }
  established_ = true;
  if (server_ != nullptr) peer_.address = remote_address(descriptor_.fd());
  pending_ = SSL_has_pending(ssl_) == 1;
  expected_ = {};
  member_of_ = {};
  return Step::Done;
}

IoResult TlsStream::read(char* into, std::size_t size) {
  forget_errors();
  std::size_t got = 0;
  const bool some = SSL_read_ex(ssl_, into, size, &got) == 1;
  return after_read(some, got);
}

IoResult TlsStream::peek() {
  forget_errors();
  char unread = 0;
  std::size_t got = 0;
  const bool some = SSL_peek_ex(ssl_, &unread, 1, &got) == 1;
  return after_read(some, got);
}

IoResult TlsStream::after_read(bool got_some, std::size_t bytes) {
  if (got_some) {
    pending_ = SSL_has_pending(ssl_) == 1;
    return {IoResult::Kind::Done, bytes, 0};
  }
  pending_ = false;
  const int error = SSL_get_error(ssl_, 0);
  if (error == SSL_ERROR_WANT_READ) return {IoResult::Kind::WouldBlock, 0, 0};
  if (error == SSL_ERROR_ZERO_RETURN) return {IoResult::Kind::End, 0, 0};
  const int reason = error == SSL_ERROR_SYSCALL && errno != 0 ? errno : ECONNRESET;
  const bool cut = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (!cut) remember_failure(error);
  ERR_clear_error();
  return {IoResult::Kind::Failed, 0, reason};
}

IoResult TlsStream::write(std::span<iovec>& parts) {
  // Several small parts become one record. Nothing of it outlives the call.
  static thread_local std::array<char, kRecordBytesMax> record;
  std::size_t total = 0;
  while (!parts.empty()) {
    const void* from = parts[0].iov_base;
    std::size_t size = parts[0].iov_len;
    if (parts.size() > 1 && size < record.size()) {
      size = 0;
      for (const iovec& part : parts) {
        const std::size_t taken = std::min(part.iov_len, record.size() - size);
        if (taken > 0) std::memcpy(record.data() + size, part.iov_base, taken);
        size += taken;
      }
      from = record.data();
    }
    if (size == 0) {  // empty parts only
      parts = {};
      break;
    }
    forget_errors();
    std::size_t put = 0;
    if (SSL_write_ex(ssl_, from, size, &put) != 1) {
      const int error = SSL_get_error(ssl_, 0);
      if (error == SSL_ERROR_WANT_WRITE) return {IoResult::Kind::WouldBlock, total, 0};
      const int reason = error == SSL_ERROR_SYSCALL && errno != 0 ? errno : ECONNRESET;
      remember_failure(error);
      return {IoResult::Kind::Failed, total, reason};
    }
    total += put;
    while (!parts.empty() && put >= parts[0].iov_len) {
      put -= parts[0].iov_len;
      parts = parts.subspan(1);
    }
    if (put > 0) {
      parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + put;
      parts[0].iov_len -= put;
    }
  }
  return {IoResult::Kind::Done, total, 0};
}

void TlsStream::say_goodbye() {
  if (!established_ || !descriptor_.is_open() || SSL_in_init(ssl_) == 1) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace perigee::net
