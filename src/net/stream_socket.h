// StreamSocket: the bytes of one connection, TCP or Unix, plain or TLS. All reads and writes of
// net/ go through try_read() and try_write(). A plain one pays for TLS with a null pointer.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "net/poller.h"
#include "net/tls_stream.h"

namespace perigee::net {

struct IoResult {
  enum class Kind : std::uint8_t { Done, WouldBlock, End, Failed } kind = Kind::Done;
  std::size_t bytes = 0;
  int error = 0;  // errno of Failed
};

class StreamSocket {
 public:
  explicit StreamSocket(Executor executor) : descriptor_(executor) {}
  ~StreamSocket() { close(); }

  Descriptor& descriptor() { return descriptor_; }
  bool is_open() const { return descriptor_.is_open(); }
  bool readable() const {
    return descriptor_.readable() || (tls_ != nullptr && tls_->pending() && is_open());
  }
  // Nothing came and nobody left: a connection between exchanges may be used again, a long request
  // sent on. What is TLS's own (session tickets) is taken and does not count.
  bool quiet();

  // Never wait. A short read clears readable(): the socket is empty.
  IoResult try_read(char* into, std::size_t size);
  // Writes what fits; `parts` is changed to what is left.
  IoResult try_write(std::span<iovec>& parts);
  auto wait_readable() { return descriptor_.wait(Descriptor::Readable); }
  auto wait_writable() { return descriptor_.wait(Descriptor::Writable); }
  auto wait_any() { return descriptor_.wait(Descriptor::Readable | Descriptor::Writable); }
  void shut_down_writing();
  void close();

  // From now on everything goes through it, once its handshake is done.
  TlsStream& begin_tls(std::unique_ptr<TlsStream> tls) {
    tls_ = std::move(tls);
    return *tls_;
  }
  TlsStream* tls() { return tls_.get(); }  // null: plain

 private:
  Descriptor descriptor_;
  std::unique_ptr<TlsStream> tls_;  // ends before the descriptor
};

inline iovec part_of(std::string_view bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size()};
}

}  // namespace perigee::net
